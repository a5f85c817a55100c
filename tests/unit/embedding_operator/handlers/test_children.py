"""Children are brought to what is wanted, and nothing else is touched."""

import pytest

from embedding_operator.clients.kinds import (
    DEPLOYMENT,
    SERVICE,
    SERVICES,
)
from embedding_operator.errors import Forbidden, Refused
from fakes.cluster import resource
from fakes.reconciling import Bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_child_changed_by_somebody_is_repaired_and_named(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(DEPLOYMENT, "clip", {"spec": {"replicas": 7}})
    bench.look()
    assert bench.cluster.objects[("Deployment", "default", "clip")]["spec"]["replicas"] == 1
    drift = [event for event in bench.cluster.events if event.reason == "DriftRepaired"]
    assert [event.message for event in drift] == ["Deployment clip: spec.replicas is 7, wanted 1"]


def test_what_others_add_stays(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(DEPLOYMENT, "clip", {"metadata": {"annotations": {"team": "search"}}})
    bench.cluster.writes.clear()
    bench.look()
    assert bench.cluster.writes == []


def test_a_volume_that_is_wanted_no_more_goes(bench: Bench) -> None:
    bench.begin(images={"volume": {"hostPath": {"path": "/pictures"}}})
    assert "images" in _volumes(bench)
    bench.cluster.edit(SERVICES, "clip", {"spec": {"images": None}})
    bench.look()
    assert "images" not in _volumes(bench)


def test_an_object_of_somebody_else_is_never_touched(bench: Bench) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": []}}
    bench.cluster.create({**theirs, "metadata": {"name": "clip", "namespace": "default"}})
    bench.cluster.create(resource())
    bench.look()
    assert bench.cluster.objects[("Service", "default", "clip")]["spec"] == {"ports": []}
    status, reason, message = bench.condition("Ready")
    assert (status, reason) == ("False", "NameTaken")
    assert message == (
        "Service clip exists and it was not made by Sluice: rename the resource or remove it"
    )


def test_a_taken_name_does_not_make_it_write_again_and_again(bench: Bench) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}
    bench.cluster.create({**theirs, "metadata": {"name": "clip-tuning", "namespace": "default"}})
    bench.cluster.create(resource())
    bench.look()
    bench.cluster.writes.clear()
    bench.look()
    assert bench.cluster.writes == []
    assert bench.cluster.status().pool().generation == 0


def test_a_child_that_the_api_server_refuses_is_told(bench: Bench) -> None:
    bench.cluster.create(resource())
    bench.cluster.fail("apply", DEPLOYMENT, Refused("spec.x: Invalid value"))
    bench.look()
    assert bench.condition("Degraded") == (
        "True",
        "ChildRefused",
        "Deployment clip: spec.x: Invalid value",
    )


def test_a_missing_right_is_told_in_the_api_servers_words(bench: Bench) -> None:
    bench.cluster.create(resource())
    bench.cluster.fail("apply", SERVICE, Forbidden("services is forbidden: User x cannot patch"))
    bench.look()
    assert bench.condition("Degraded")[1] == "Forbidden"
    assert "services is forbidden" in bench.condition("Degraded")[2]


def test_entries_of_others_in_the_way_are_overwritten(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(SERVICE, "clip", {"spec": {"type": "NodePort"}})
    bench.cluster.fail("apply", SERVICE, Refused("spec.ports[1].name: Duplicate value"))
    bench.look()
    assert "overwrite Service clip" in bench.cluster.writes
    assert bench.cluster.objects[("Service", "default", "clip")]["spec"]["type"] == "ClusterIP"


def _volumes(bench: Bench) -> list[str]:
    live = bench.cluster.objects[("Deployment", "default", "clip")]
    return [each["name"] for each in live["spec"]["template"]["spec"]["volumes"]]
