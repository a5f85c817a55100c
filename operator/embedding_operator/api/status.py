"""What the operator reports: the status of EmbeddingService. Pure.

Status is also the operator's only memory: the setting that the tuner wants stands here before
anything in the cluster is changed, so an operator that was killed finishes what it began.
"""

from typing import Literal

from pydantic import Field

from embedding_operator.api.base import StatusModel
from embedding_operator.api.names import DEFAULT_POOL
from embedding_operator.api.rules import list_map
from embedding_operator.api.tuning import Knobs, Moment, TuningMemory

ConditionType = Literal["Ready", "Progressing", "Degraded", "TuningInForce", "MetricsAvailable"]
ConditionStatus = Literal["True", "False", "Unknown"]
MAX_PODS = 32


class Condition(StatusModel):
    """One aspect of the state, by the conventions of Kubernetes."""

    type: str = Field(max_length=316)
    """Which aspect: Ready, Progressing, Degraded, TuningInForce or MetricsAvailable."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: str = Field(min_length=1, max_length=1024)
    """Why, in one word for programs."""
    message: str = Field(default="", max_length=32768)
    """Why, and what to do, for people."""
    observed_generation: int = Field(default=0, ge=0)
    """The generation of the spec that this was said of."""
    last_transition_time: Moment = 0.0
    """When status changed the last time."""


class PodStatus(StatusModel):
    """What one pod runs."""

    name: str
    """The pod."""
    ready: bool = False
    """Whether it takes requests."""
    generation: int | None = None
    """Generation of the tuning file that it runs; absent when it did not say."""
    rejected: str = Field(default="", max_length=512)
    """Why it does not run the wanted one, as far as known."""


class PoolStatus(StatusModel):
    """One pool of pods and what the tuner knows of it."""

    name: str = DEFAULT_POOL
    """The pool."""
    setting: Knobs | None = None
    """The wanted setting of every pod without an entry of its own in podSettings."""
    pod_settings: dict[str, Knobs] = Field(default_factory=dict, max_length=MAX_PODS)
    """Wanted settings of single pods: the canary of a trial."""
    generation: int = Field(default=0, ge=0)
    """Generation of the tuning file that carries these settings; 0 before the first."""
    generation_since: Moment | None = None
    """When that generation was written."""
    in_force_since: Moment | None = None
    """When every ready pod had said that it runs that generation; absent until then."""
    pods: list[PodStatus] = Field(default_factory=list, max_length=MAX_PODS)
    """The pods, at most the first 32: those that lag behind come first."""
    tuning: TuningMemory = TuningMemory()
    """Diagnosis, recommendation, trial and history."""


class Summary(StatusModel):
    """One short text for each column of `kubectl get`."""

    ready: str = ""
    """Ready pods of wanted pods."""
    streams: str = ""
    """Wanted lanes, with those of a canary after an arrow."""
    semaphore: str = ""
    """Wanted permits, with those of a canary after an arrow."""
    bottleneck: str = ""
    """What limits the service."""
    mode: str = ""
    """The tuner's mode."""


class EmbeddingServiceStatus(StatusModel):
    """The observed state."""

    observed_generation: int = Field(default=0, ge=0)
    """The generation of the spec that this status belongs to."""
    conditions: list[Condition] = Field(default_factory=list, json_schema_extra=list_map("type"))
    """Ready, Progressing, Degraded, TuningInForce, MetricsAvailable."""
    replicas: int = Field(default=0, ge=0)
    """Pods that exist."""
    ready_replicas: int = Field(default=0, ge=0)
    """Pods that take requests."""
    selector: str = ""
    """Label selector of the pods, for autoscalers."""
    image: str = ""
    """Image of the server in force when spec.image is absent: the operator's default at the time
    when the resource was first seen."""
    summary: Summary = Summary()
    """One short text for each column of `kubectl get`."""
    pools: list[PoolStatus] = Field(default_factory=list, json_schema_extra=list_map("name"))
    """The pools."""

    def pool(self, name: str = DEFAULT_POOL) -> PoolStatus:
        """The pool's status, empty when nothing is known of it yet."""
        return next((pool for pool in self.pools if pool.name == name), PoolStatus(name=name))

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of that type, if it was ever written."""
        return next((each for each in self.conditions if each.type == kind), None)
