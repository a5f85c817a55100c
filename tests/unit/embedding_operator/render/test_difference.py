"""The first difference, in words; none where only others' fields differ."""

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract.tuning import Setting, TuningFile
from embedding_operator.api.service import Manifest
from embedding_operator.render.deployment import deployment
from embedding_operator.render.desired import desired
from embedding_operator.render.difference import difference
from fakes.cluster import FakeCluster
from fakes.plans import CPU, GPU, plan


def applied(*manifests: Manifest) -> Manifest:
    """The object after these were applied one after the other."""
    cluster = FakeCluster()
    live: Manifest = {}
    for manifest in manifests:
        live = asyncio.run(cluster.apply(manifest))
    return live


def shown(wanted: Manifest, live: Manifest | None) -> str:
    found = difference(wanted, live)
    return "" if found is None else str(found)


def with_container(manifest: Manifest, **change: Any) -> Manifest:
    live = copy.deepcopy(manifest)
    live["spec"]["template"]["spec"]["containers"][0] |= change
    return live


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 5),
        "maxBatch": st.integers(1, 64),
        "gpu": st.sampled_from([{"count": 0}, {"count": 2}, {"resourceName": "amd.com/gpu"}]),
        "nodeSelector": st.sampled_from([{}, {"a": "b"}, {"a": "b", "c": "d"}]),
        "tolerations": st.sampled_from([[], [{"key": "x", "operator": "Exists"}]]),
        "imagePullSecrets": st.sampled_from([[], [{"name": "one"}], [{"name": "two"}]]),
        "images": st.sampled_from([{}, {"volume": {"hostPath": {"path": "/x"}}}]),
        "apiKeys": st.sampled_from([{"secretName": "one"}, {"secretName": "two", "key": "k"}]),
        "resources": st.sampled_from(
            [{}, {"limits": {"cpu": 2}}, {"limits": {"cpu": "500m", "memory": "1Gi"}}]
        ),
        "service": st.sampled_from([{}, {"port": 8080}, {"type": "NodePort"}]),
    },
)


@settings(max_examples=25, deadline=None)
@given(first=SPECS, second=SPECS)
def test_after_applying_nothing_differs_whatever_was_there_before(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    before, after = plan(**first), plan(**second)
    file = TuningFile(1, Setting(1, 1))
    for old, new in zip(desired(before, file), desired(after, file), strict=True):
        live = applied(old, new)
        assert difference(new, live) is None
        assert (difference(old, live) is None) == (old == new)


def test_a_missing_object_is_a_difference() -> None:
    assert shown(deployment(plan()), None) == "Deployment is absent, wanted clip"


def test_the_first_field_is_named_with_both_values() -> None:
    live = applied(deployment(plan()))
    live["spec"]["replicas"] = 7
    assert shown(deployment(plan()), live) == "spec.replicas is 7, wanted 1"


def test_a_field_inside_a_keyed_list_is_named_by_its_key() -> None:
    live = applied(deployment(plan()))
    env = live["spec"]["template"]["spec"]["containers"][0]["env"]
    next(each for each in env if each["name"] == "EMBEDDING_MAX_BATCH")["value"] = "7"
    path = "spec.template.spec.containers[server].env[EMBEDDING_MAX_BATCH].value"
    assert shown(deployment(plan()), live) == f"{path} is 7, wanted 32"


@pytest.mark.parametrize(
    ("wanted", "live"),
    [("500m", "0.5"), ("1500m", "1.5"), ("2", 2), ("1Gi", "1024Mi"), ("1024", "1Ki")],
)
def test_an_amount_may_be_spelled_differently(wanted: str, live: object) -> None:
    ours = deployment(plan(resources={"limits": {"memory": wanted}}))
    theirs = with_container(applied(ours), resources={"limits": {"memory": live}})
    theirs["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = ours["spec"][
        "template"
    ]["spec"]["containers"][0]["resources"]["requests"]
    theirs["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] |= {
        "nvidia.com/gpu": 1
    }
    assert shown(ours, theirs) == ""


def test_another_amount_is_a_difference() -> None:
    ours = deployment(plan(**CPU))
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "3Gi"}}
    found = shown(ours, with_container(applied(ours), resources=resources))
    assert found == (
        "spec.template.spec.containers[server].resources.limits.cpu is 2, wanted 1500m"
    )


def test_what_the_api_server_fills_in_is_none() -> None:
    ours = deployment(plan(**GPU))
    live = with_container(applied(ours), terminationMessagePath="/dev/termination-log")
    live["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always"}
    live["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["successThreshold"] = 1
    live["status"] = {"replicas": 3}
    assert shown(ours, live) == ""


def test_what_others_add_to_shared_lists_is_none() -> None:
    ours = deployment(plan())
    live = applied(ours)
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    live["spec"]["template"]["spec"]["containers"][0]["env"].insert(0, {"name": "THEIRS"})
    live["spec"]["template"]["metadata"]["annotations"]["restartedAt"] = "today"
    assert shown(ours, live) == ""


def test_a_list_that_is_ours_alone_must_be_equal() -> None:
    ours = deployment(plan())
    live = with_container(applied(ours), command=["sluice-server", "--now"])
    assert shown(ours, live) == (
        'spec.template.spec.containers[server].command is ["sluice-server", "--now"], '
        'wanted ["sluice-server"]'
    )


def test_what_we_applied_and_want_no_more_is_a_difference() -> None:
    live = applied(deployment(plan(nodeSelector={"a": "b"})))
    assert shown(deployment(plan()), live) == (
        'spec.template.spec.nodeSelector is {"a": "b"}, wanted absent'
    )


def test_the_same_field_of_somebody_else_is_none() -> None:
    live = applied(deployment(plan()))
    live["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}
    assert shown(deployment(plan()), live) == ""


def test_a_lost_owner_is_a_difference() -> None:
    live = applied(deployment(plan()))
    live["metadata"]["ownerReferences"] = []
    assert shown(deployment(plan()), live).startswith("metadata.ownerReferences[uid-1] is absent")
