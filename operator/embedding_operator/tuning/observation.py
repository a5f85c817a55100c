"""What the tuner is shown and what it answers. Values only: the edge reads and acts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import TuningMemory, TuningPolicy
from embedding_operator.tuning.window import MetricsGap, Windows

Event = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of a Kubernetes event."""


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod.

    `generation` is the tuning generation that it reports, `started_at` in epoch seconds.
    """

    name: str
    ready: bool
    restarts: int = 0
    generation: int | None = None
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One pool at one moment.

    `spec_setting` are the spec's knobs, `current` the pool's setting wanted now, as status says.
    `rollout_stable`: the Deployment is observed, fully updated and at its size.
    `in_force_since`: the moment when every ready pod ran the wanted tuning; None while one does
    not. `metrics` may be empty while no whole window has passed, and in mode Off.
    `host_memory_bytes`: the container's memory limit.
    """

    resource: str
    namespace: str
    spec_setting: Setting
    current: Setting
    pods: tuple[PodView, ...]
    rollout_stable: bool
    in_force_since: float | None
    metrics: Windows | MetricsGap
    max_batch: int = 32
    host_memory_bytes: float | None = None

    @property
    def ready(self) -> tuple[PodView, ...]:
        """Pods that serve, by name."""
        return tuple(sorted((pod for pod in self.pods if pod.ready), key=lambda pod: pod.name))

    @property
    def restarts(self) -> int:
        """Restarts of all pods."""
        return sum(pod.restarts for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Look:
    """What every part of one step needs. `time` is in epoch seconds."""

    observation: Observation
    policy: TuningPolicy
    time: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition: status, reason, message."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be from now on. Write `memory`, `setting` and `pod_settings` before acting."""

    memory: TuningMemory
    setting: Setting
    metrics_available: Verdict
    pod_settings: Mapping[str, Setting] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
