"""One pod of ours, read from its object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from embedding_contract.endpoints import NUDGE_ANNOTATION
from embedding_operator.api.names import CONTAINER


@dataclass(frozen=True, slots=True)
class Ended:
    """How the container ended the last time."""

    reason: str
    exit_code: int
    message: str


@dataclass(frozen=True, slots=True)
class PodState:
    """What of a pod matters here. `started_at` is the container's start, epoch seconds."""

    name: str
    ip: str = ""
    ready: bool = False
    running: bool = False
    deleting: bool = False
    restarts: int = 0
    started_at: float = 0.0
    nudged: str = ""
    waiting: str = ""
    waiting_message: str = ""
    ended: Ended | None = None
    unschedulable: str = ""


def read_pods(manifests: Iterable[Mapping[str, Any]]) -> tuple[PodState, ...]:
    """All pods, by name."""
    return tuple(sorted((read_pod(each) for each in manifests), key=lambda pod: pod.name))


def read_pod(manifest: Mapping[str, Any]) -> PodState:
    """Read one pod; fields that are not there yet are empty."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    ours = _container_status(status)
    state, last = ours.get("state", {}), ours.get("lastState", {})
    running, waiting = state.get("running") or {}, state.get("waiting") or {}
    return PodState(
        name=metadata["name"],
        ip=status.get("podIP", ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        running="running" in state,
        deleting="deletionTimestamp" in metadata,
        restarts=ours.get("restartCount", 0),
        started_at=_epoch(running.get("startedAt")),
        nudged=(metadata.get("annotations") or {}).get(NUDGE_ANNOTATION, ""),
        waiting=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        ended=_ended(state) or _ended(last),
        unschedulable=_unschedulable(conditions.get("PodScheduled", {})),
    )


def _container_status(status: Mapping[str, Any]) -> Mapping[str, Any]:
    statuses = status.get("containerStatuses") or ()
    return next((each for each in statuses if each["name"] == CONTAINER), {})


def _ended(state: Mapping[str, Any]) -> Ended | None:
    ended = state.get("terminated")
    if not ended:
        return None
    code, reason = ended.get("exitCode", 0), ended.get("reason", "")
    return Ended(reason, code, ended.get("message", ""))


def _unschedulable(scheduled: Mapping[str, Any]) -> str:
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return str(scheduled.get("message") or "the scheduler found no node")
    return ""


def _epoch(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
