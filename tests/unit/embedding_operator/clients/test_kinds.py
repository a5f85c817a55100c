"""Paths of the API."""

import pytest

from embedding_operator.clients.kinds import DEPLOYMENT, POD, SERVICES, kind_of


def test_paths_are_the_apis() -> None:
    assert POD.path("default", "a") == "/api/v1/namespaces/default/pods/a"
    assert POD.path("default") == "/api/v1/namespaces/default/pods"
    assert DEPLOYMENT.path(None) == "/apis/apps/v1/deployments"
    assert SERVICES.path("x", "clip", "status") == (
        "/apis/sluice.dev/v1alpha1/namespaces/x/embeddingservices/clip/status"
    )


def test_a_kind_that_is_none_of_ours_is_an_error() -> None:
    assert kind_of({"kind": "Pod", "apiVersion": "v1"}) == POD
    with pytest.raises(KeyError):
        kind_of({"kind": "Secret", "apiVersion": "v1"})
