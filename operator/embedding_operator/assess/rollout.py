"""How far a Deployment is, read from its object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rollout:
    """Numbers of pods. `observed` is False until the controller has seen the current template.

    `stalled` and `blocked` are the Deployment's own words: no progress in time, pods refused.
    """

    wanted: int
    exist: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    observed: bool = False
    stalled: str = ""
    blocked: str = ""

    @property
    def complete(self) -> bool:
        """Every wanted pod is there, of the current template and available, and no other."""
        numbers = {self.exist, self.updated, self.ready, self.available}
        return self.observed and numbers == {self.wanted}

    @property
    def progress(self) -> str:
        """In words."""
        if not self.observed:
            return "the new template was not seen by the Deployment's controller yet"
        return (
            f"{self.updated} of {self.wanted} pods updated, {self.available} available"
            f"{f', {self.exist - self.updated} old' if self.exist > self.updated else ''}"
        )


def read_rollout(deployment: Mapping[str, Any]) -> Rollout:
    """Read it; a Deployment that was never seen by its controller counts as nothing yet."""
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    generation = deployment["metadata"].get("generation", 0)
    progressing = conditions.get("Progressing", {})
    failure = conditions.get("ReplicaFailure", {})
    late = progressing.get("reason") == "ProgressDeadlineExceeded"
    return Rollout(
        wanted=spec.get("replicas", 1),
        exist=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        observed=status.get("observedGeneration", 0) >= generation > 0,
        stalled=str(progressing.get("message", "")) if late else "",
        blocked=str(failure.get("message", "")) if failure.get("status") == "True" else "",
    )
