"""A pod is read as it is, also when half of it is not there yet."""

from typing import Any

from embedding_operator.assess.pods import Ended, PodState, read_pod, read_pods


def pod(name: str = "clip-0", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def server(**status: Any) -> list[dict[str, Any]]:
    return [{"name": "sidecar", "restartCount": 9}, {"name": "server", **status}]


def test_a_pod_that_was_just_created_is_nothing_yet() -> None:
    assert read_pod(pod()) == PodState("clip-0")


def test_a_running_pod() -> None:
    running = {"running": {"startedAt": "1970-01-01T00:01:00Z"}}
    manifest = pod(
        podIP="10.0.0.1",
        conditions=[{"type": "Ready", "status": "True"}],
        containerStatuses=server(restartCount=2, state=running),
    )
    manifest["metadata"]["annotations"] = {"sluice.dev/tuning-generation": "7-2"}
    assert read_pod(manifest) == PodState(
        "clip-0", "10.0.0.1", ready=True, running=True, restarts=2, started_at=60.0, nudged="7-2"
    )


def test_how_it_ended_is_read_from_now_or_before() -> None:
    ended = {"terminated": {"exitCode": 2, "reason": "Error", "message": "no"}}
    now = read_pod(pod(containerStatuses=server(state=ended)))
    before = read_pod(pod(containerStatuses=server(state={"waiting": {}}, lastState=ended)))
    assert now.ended == before.ended == Ended("Error", 2, "no")


def test_the_schedulers_words_are_kept() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/3 nodes are available"}  # fmt: skip
    assert read_pod(pod(conditions=[condition])).unschedulable == "0/3 nodes are available"


def test_a_pod_that_is_not_scheduled_yet_is_not_unschedulable() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    assert read_pod(pod(conditions=[condition])).unschedulable == ""


def test_pods_come_by_name() -> None:
    assert [each.name for each in read_pods([pod("b"), pod("a")])] == ["a", "b"]
