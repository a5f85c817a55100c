"""What was seen of one resource's children, as values. `conditions` judges it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from embedding_contract.report import TuningReport
from embedding_contract.tuning import Setting
from embedding_operator.assess.pods import PodState
from embedding_operator.assess.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps the operator from doing what the spec asks for.

    `reason` is one word for programs, `message` says what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TuningInForce:
    """The wanted tuning file: its generation, its setting, since when it lies there (epoch s)."""

    generation: int
    setting: Setting
    since: float


@dataclass(frozen=True, slots=True)
class Observed:
    """One resource at one moment.

    `generation` is the resource's own. `reports` holds each asked pod's answer, or why there was
    none. `trouble` is a spec that cannot be read or a child that cannot be written.
    """

    generation: int
    replicas: int
    rollout: Rollout | None
    pods: tuple[PodState, ...] = ()
    reports: Mapping[str, TuningReport | str] = field(default_factory=dict)
    tuning: TuningInForce | None = None
    trouble: Trouble | None = None

    @property
    def ready_pods(self) -> tuple[PodState, ...]:
        """Pods that take requests."""
        return tuple(pod for pod in self.pods if pod.ready and not pod.deleting)

    def runs(self, pod: PodState) -> bool:
        """Whether the pod said that it runs the wanted tuning file."""
        report = self.reports.get(pod.name)
        if not isinstance(report, TuningReport) or self.tuning is None:
            return False
        return report.generation == self.tuning.generation
