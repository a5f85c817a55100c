"""Why pods are stuck, in words that a user can act on."""

import pytest

from embedding_operator.assess.causes import stuck
from embedding_operator.assess.observed import Trouble
from embedding_operator.assess.pods import Ended, PodState
from embedding_operator.assess.rollout import Rollout

NOW = 1000.0


def trouble(pod: PodState, now: float = NOW) -> Trouble:
    found = stuck([pod], None, now)
    assert found is not None
    return found


def test_nothing_is_stuck_while_pods_start() -> None:
    assert stuck([PodState("a", waiting="ContainerCreating")], Rollout(1), NOW) is None
    assert stuck([], None, NOW) is None


def test_the_servers_last_word_is_lifted() -> None:
    text = "loading\nsluice-server: cannot start: no weights 'laion9' for ViT-B-32\n"
    ended = Ended("Error", 2, text)
    found = trouble(PodState("a", waiting="CrashLoopBackOff", ended=ended))
    assert found == Trouble("ModelUnavailable", "no weights 'laion9' for ViT-B-32")


def test_the_servers_word_counts_even_when_something_was_printed_after_it() -> None:
    text = "sluice-server: cannot start: no such file /x\nsome library says goodbye"
    found = trouble(PodState("a", ended=Ended("Error", 2, text)))
    assert found == Trouble("ModelUnavailable", "no such file /x")


def test_another_crash_shows_its_last_line() -> None:
    found = trouble(PodState("a", ended=Ended("Error", 139, "one\ntwo\n\n")))
    assert found == Trouble("CrashLoop", "pod a exited 139: two")


def test_a_silent_crash_shows_its_reason() -> None:
    assert trouble(PodState("a", ended=Ended("Error", 1, ""))).message == "pod a exited 1: Error"


def test_out_of_memory_says_what_to_raise() -> None:
    found = trouble(PodState("a", ended=Ended("OOMKilled", 137, "")))
    assert found.reason == "OutOfMemory"
    assert "resources.limits.memory" in found.message


@pytest.mark.parametrize("waiting", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled(waiting: str) -> None:
    found = trouble(PodState("a", waiting=waiting, waiting_message="not found"))
    assert found.reason == "ImagePullFailed"
    assert found.message.endswith("not found")


def test_a_container_that_cannot_be_made() -> None:
    pod = PodState("a", waiting="CreateContainerConfigError", waiting_message="no configmap")
    assert trouble(pod).reason == "ContainerFailed"


def test_a_pod_without_node_shows_the_schedulers_message() -> None:
    found = trouble(PodState("a", unschedulable="0/3 nodes: insufficient nvidia.com/gpu"))
    assert found == Trouble(
        "Unschedulable", "no node for pod a: 0/3 nodes: insufficient nvidia.com/gpu"
    )


def test_a_crash_comes_before_a_pod_that_only_waits_for_a_node() -> None:
    pods = [
        PodState("a", unschedulable="no node"),
        PodState("b", ended=Ended("Error", 1, "boom")),
    ]
    found = stuck(pods, None, NOW)
    assert found is not None
    assert found.reason == "CrashLoop"


def test_a_crash_before_the_last_restart_still_counts_for_a_while() -> None:
    pod = PodState("a", running=True, started_at=NOW - 10, ended=Ended("Error", 1, "boom"))
    assert trouble(pod).reason == "CrashLoop"
    assert stuck([pod], None, NOW + 600) is None


def test_ready_and_leaving_pods_are_not_asked() -> None:
    crash = Ended("Error", 1, "boom")
    pods = [PodState("a", ready=True, ended=crash), PodState("b", deleting=True, ended=crash)]
    assert stuck(pods, None, NOW) is None


def test_the_deployments_complaints_come_last() -> None:
    blocked = stuck([], Rollout(1, blocked="exceeded quota"), NOW)
    stalled = stuck([], Rollout(1, stalled="timed out"), NOW)
    assert blocked == Trouble("PodsRefused", "pods cannot be created: exceeded quota")
    assert stalled == Trouble("ProgressDeadlineExceeded", "timed out")


def test_a_message_stays_short() -> None:
    assert len(trouble(PodState("a", ended=Ended("Error", 1, "x" * 5000))).message) <= 600
