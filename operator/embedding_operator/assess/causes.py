"""Why pods do not become ready, lifted from the pod to the resource."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from embedding_operator.assess.observed import Trouble
from embedding_operator.assess.pods import Ended, PodState
from embedding_operator.assess.rollout import Rollout

CANNOT_START: Final = "sluice-server: cannot start:"
"""The server begins its last line with this when nothing but a change can help."""

_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONTAINER: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
MAX_MESSAGE: Final = 600
RECENT_SECONDS: Final = 300.0
"""A container that runs again for this long is no more judged by how it ended before."""


def stuck(pods: Sequence[PodState], rollout: Rollout | None, now: float) -> Trouble | None:
    """The first known cause, those first that wait for a person. None when nothing is stuck."""
    waiting = [_forgiven(pod, now) for pod in pods if not pod.ready and not pod.deleting]
    for find in (_crashed, _without_image, _misconfigured, _without_node):
        for pod in waiting:
            trouble = find(pod)
            if trouble is not None:
                return trouble
    if rollout is not None and rollout.blocked:
        return Trouble("PodsRefused", f"pods cannot be created: {rollout.blocked}")
    if rollout is not None and rollout.stalled:
        return Trouble("ProgressDeadlineExceeded", rollout.stalled)
    return None


def _forgiven(pod: PodState, now: float) -> PodState:
    return replace(pod, ended=None) if _runs_well(pod, now) else pod


def _runs_well(pod: PodState, now: float) -> bool:
    return pod.running and now - pod.started_at > RECENT_SECONDS


def _crashed(pod: PodState) -> Trouble | None:
    """The last line that the container wrote says why."""
    if pod.ended is None or (pod.ended.exit_code == 0 and pod.waiting != "CrashLoopBackOff"):
        return None
    if pod.ended.reason == "OOMKilled":
        text = "ran out of memory: raise resources.limits.memory, or lower maxBatch"
        return Trouble("OutOfMemory", f"pod {pod.name} {text}")
    line = _last_line(pod.ended)
    if line.startswith(CANNOT_START):
        return Trouble("ModelUnavailable", _short(line.removeprefix(CANNOT_START).strip()))
    return Trouble("CrashLoop", _short(f"pod {pod.name} exited {pod.ended.exit_code}: {line}"))


def _last_line(ended: Ended) -> str:
    lines = [line.strip() for line in ended.message.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith(CANNOT_START)]
    return next(iter([*ours[-1:], *lines[-1:]]), ended.reason or "it left no message")


def _without_image(pod: PodState) -> Trouble | None:
    if pod.waiting not in _IMAGE:
        return None
    text = f"pod {pod.name} cannot get its image ({pod.waiting}): {pod.waiting_message}"
    return Trouble("ImagePullFailed", _short(text))


def _misconfigured(pod: PodState) -> Trouble | None:
    if pod.waiting not in _CONTAINER:
        return None
    text = f"pod {pod.name} cannot be started ({pod.waiting}): {pod.waiting_message}"
    return Trouble("ContainerFailed", _short(text))


def _without_node(pod: PodState) -> Trouble | None:
    if not pod.unschedulable:
        return None
    return Trouble("Unschedulable", _short(f"no node for pod {pod.name}: {pod.unschedulable}"))


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 3]}..."
