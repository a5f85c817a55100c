"""The words of the tuner: the policy in the spec and everything it remembers in status.

The tuner keeps no other memory. What stands here must be enough to finish or to revert a trial
after the operator was killed, and must fit into MAX_MEMORY_BYTES.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from embedding_contract.bottleneck import Bottleneck
from embedding_contract.tuning import (
    MAX_DECODE_WORKERS,
    MAX_SEMAPHORE,
    MAX_STREAMS,
    DecodeDevice,
    Setting,
)
from embedding_operator.api.base import ApiModel, StatusModel

MAX_MEMORY_BYTES: Final = 8 * 1024
MAX_HISTORY: Final = 10
MAX_REFUSED: Final = 8
MAX_EVIDENCE: Final = 10
MAX_TEXT: Final = 240

Mode = Literal["Auto", "Recommend", "Off"]
Stage = Literal["Applying", "Measuring", "Confirming"]
Verdict = Literal["Kept", "RolledBack", "Aborted", "Cancelled"]
MoveKind = Literal["Jump", "Polish", "Latency", "Memory"]


def _seconds(value: object) -> object:
    """Read RFC 3339 text as seconds since the epoch; numbers pass."""
    return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else value


def _text(value: float) -> str:
    text = datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


Moment = Annotated[
    float,
    BeforeValidator(_seconds),
    AfterValidator(lambda value: round(value, 3)),
    PlainSerializer(_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A point in time: seconds since the epoch inside, RFC 3339 in UTC with milliseconds outside."""

Text = Annotated[str, AfterValidator(lambda value: value[:MAX_TEXT])]
Figure = Annotated[float, AfterValidator(lambda value: float(f"{value:.5g}"))]
"""A measured number. Five digits are more than any measurement here is worth."""

_MIN_OVER_MAX = "min must not be greater than max: lower min or raise max"


def _cel(rule: str, message: str) -> ConfigDict:
    return ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [{"rule": rule, "message": message}]}
    )


class _Bounds(ApiModel):
    """A closed interval for one knob."""

    model_config = _cel("self.min <= self.max", _MIN_OVER_MAX)
    min: int
    max: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(_MIN_OVER_MAX)
        return self

    def holds(self, value: int) -> bool:
        """Whether the value lies inside."""
        return self.min <= value <= self.max

    def clamp(self, value: int) -> int:
        """The nearest value inside."""
        return max(self.min, min(self.max, value))


class StreamBounds(_Bounds):
    """The least and the most lanes that the tuner may choose."""

    min: int = Field(default=1, ge=1, le=MAX_STREAMS)
    """The fewest lanes."""
    max: int = Field(default=8, ge=1, le=MAX_STREAMS)
    """The most lanes."""


class SemaphoreBounds(_Bounds):
    """The least and the most requests in flight that the tuner may choose."""

    min: int = Field(default=1, ge=1, le=MAX_SEMAPHORE)
    """The fewest permits."""
    max: int = Field(default=64, ge=1, le=MAX_SEMAPHORE)
    """The most permits."""


class DecodeWorkerBounds(_Bounds):
    """The least and the most decode threads that the tuner may choose."""

    min: int = Field(default=0, ge=0, le=MAX_DECODE_WORKERS)
    """The fewest decode threads; 0 leaves the size to the server."""
    max: int = Field(default=MAX_DECODE_WORKERS, ge=0, le=MAX_DECODE_WORKERS)
    """The most decode threads."""


class TuningBounds(ApiModel):
    """Limits that no decision ever leaves."""

    num_streams: StreamBounds = StreamBounds()
    """Limits of numStreams."""
    semaphore_size: SemaphoreBounds = SemaphoreBounds()
    """Limits of semaphoreSize."""
    decode_workers: DecodeWorkerBounds = DecodeWorkerBounds()
    """Limits of decodeWorkers. Where both are 0 the server sizes the pool and nothing moves it."""


class TuningObjective(ApiModel):
    """What the tuner works for. Without a p95 it is throughput over response time."""

    p95_seconds: float | None = Field(default=None, gt=0, le=3600)
    """The client's 95th percentile of the request time, the wait for a permit included, seconds."""


class PrometheusSource(ApiModel):
    """Where the pods' metrics can be queried."""

    address: str | None = Field(
        default=None, max_length=512, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
    )
    """Base address, for example http://prometheus.monitoring:9090. Default: the operator's own."""


class TuningPolicy(ApiModel):
    """How far the tuner may go for this service."""

    mode: Mode = "Auto"
    """Auto changes the live setting by verified trials. Recommend only writes to status. Off asks
    Prometheus nothing and runs the spec's values."""
    suspend: bool = False
    """True reverts an open trial and then holds everything still; diagnosis goes on."""
    bounds: TuningBounds = TuningBounds()
    """Limits that no decision ever leaves."""
    objective: TuningObjective = TuningObjective()
    """What the tuner works for."""
    window_seconds: float = Field(default=30.0, ge=5, le=600)
    """Length of one measurement window in seconds: at least three times the scrape interval."""
    windows: int = Field(default=3, ge=2, le=12)
    """Windows that a diagnosis and each side of a trial need at least. A trial that stays unclear
    measures up to four times as many."""
    prometheus: PrometheusSource = PrometheusSource()
    """Where the pods' metrics can be queried."""


class Knobs(StatusModel):
    """One setting of the live knobs."""

    num_streams: int = Field(ge=1, le=MAX_STREAMS)
    """Lanes."""
    semaphore_size: int = Field(ge=1, le=MAX_SEMAPHORE)
    """Requests in flight."""
    decode_workers: int = Field(default=0, ge=0, le=MAX_DECODE_WORKERS)
    """Decode threads; 0 means sized by the server from its CPU limit."""
    decode_device: DecodeDevice = "auto"
    """Where JPEGs are decoded."""

    @classmethod
    def of(cls, setting: Setting) -> Self:
        """Take a setting of the contract into status."""
        return cls(
            num_streams=setting.num_streams,
            semaphore_size=setting.semaphore_size,
            decode_workers=setting.decode_workers,
            decode_device=setting.decode_device,
        )

    @property
    def setting(self) -> Setting:
        """The same as a setting of the contract."""
        return Setting(
            self.num_streams, self.semaphore_size, self.decode_workers, self.decode_device
        )


class Evidence(StatusModel):
    """One number behind a verdict."""

    name: Text
    """What was measured."""
    value: Figure
    """The number."""
    unit: Text = "ratio"
    """Its unit."""
    threshold: Figure | None = None
    """The class begins here, where the number belongs to one."""


class Diagnosis(StatusModel):
    """What limits the service, and why the tuner thinks so."""

    bottleneck: Bottleneck = Field(alias="class")
    """What limits throughput, the innermost resource first."""
    since: Moment
    """When this class was first seen without a break."""
    confidence: Figure = Field(ge=0, le=1)
    """Share of the windows that say the same, each for itself."""
    slo_violated: bool = False
    """Whether the p95 objective is broken."""
    message: Text
    """The verdict in plain words."""
    remedy: Text = ""
    """What would change it."""
    evidence: list[Evidence] = Field(default_factory=list, max_length=MAX_EVIDENCE)
    """The numbers behind it."""


class Recommendation(StatusModel):
    """The move that the laws propose. In mode Recommend nobody makes it but the user."""

    setting: Knobs
    """The proposed setting."""
    predicted_gain: Figure
    """Expected change of throughput (of response time under light load): 0.25 is +25 %."""
    message: Text
    """Why."""
    patch: str = Field(max_length=600)
    """The command that makes this move."""


class Measurement(StatusModel):
    """What some windows said, in the form in which trials compare."""

    log_throughput: Figure
    """Mean of the natural logarithm of images a second and pod."""
    log_p95: Figure
    """Mean of the natural logarithm of the p95 of the request time in seconds."""
    log_capacity: Figure
    """Natural logarithm of what the measured demands allow, images a second and pod."""
    spread: Figure = Field(ge=0)
    """Standard deviation of the logarithm of the throughput between windows."""
    windows: int = Field(ge=1)
    """How many windows."""
    saturated: bool
    """Whether requests waited or a resource was full: only then throughput is capacity."""
    rejected: Figure = Field(default=0.0, ge=0)
    """Share of the requests that were refused."""


class Trial(StatusModel):
    """A change under test. It stands in status before anything is changed."""

    id: int = Field(ge=1)
    """Counts the trials of this pool."""
    kind: MoveKind
    """A computed jump, a single-knob step, or a move for response time or memory."""
    stage: Stage = "Applying"
    """Applying until measured in force, Measuring, or Confirming with the old setting back."""
    stage_since: Moment
    """When this stage began."""
    started_at: Moment
    """When the trial was recorded."""
    deadline: Moment
    """It is rolled back when it has no verdict by then."""
    from_: Knobs = Field(alias="from")
    """The setting before, and after a rollback."""
    to: Knobs
    """The setting on trial."""
    predicted_gain: Figure
    """Expected change of throughput (of response time for a Latency move)."""
    reason: Text
    """Why this move."""
    canary: list[str] = Field(default_factory=list, max_length=8)
    """Pods that run the new setting; empty means all of them."""
    pods: list[str] = Field(default_factory=list, max_length=32)
    """Pods when it began (the first 32)."""
    restarts: int = Field(default=0, ge=0)
    """Restarts of all pods when it began."""
    baseline: Measurement
    """Before: all pods, or the canary pods."""
    control: Measurement | None = None
    """Before: the other pods, where there is a canary."""
    after: Measurement | None = None
    """With the new setting; kept while the old one is confirmed."""


class HistoryEntry(StatusModel):
    """A finished trial: what was expected beside what came."""

    id: int
    """The trial's number."""
    ended_at: Moment
    """When it ended."""
    from_: Knobs = Field(alias="from")
    """The setting before."""
    to: Knobs
    """The setting on trial."""
    verdict: Verdict
    """How it ended."""
    predicted_gain: Figure
    """What the laws expected."""
    measured_gain: Figure | None = None
    """What came, where it was measured."""
    error: Figure | None = None
    """Standard error of the measured gain."""
    windows: int = 0
    """Windows measured with the new setting."""
    message: Text
    """The verdict in plain words."""


class Refused(StatusModel):
    """A move that did not pay; it is not tried again for a while."""

    setting: Knobs
    """Where it went."""
    until: Moment
    """Until then."""
    region: bool = False
    """Whether settings near it are refused as well."""


class Settled(StatusModel):
    """Why the tuner holds still, and from where a change of the load counts as a change."""

    since: Moment
    """Since when."""
    reason: Text
    """Why."""
    arrivals: Figure
    """Images a second and pod that arrived, the refused ones included."""
    images_per_request: Figure
    """The load's shape."""
    cpu_seconds_per_image: Figure
    """The work of one image."""
    slo_violated: bool = False
    """Whether the objective was broken then."""
    saturated: bool = False
    """Whether the load filled the service then."""


class TuningMemory(StatusModel):
    """All that the tuner knows of one pool."""

    base: Knobs | None = None
    """The spec's knobs that this memory belongs to; another value there starts a new memory."""
    diagnosis: Diagnosis | None = None
    """The last verdict."""
    recommendation: Recommendation | None = None
    """The next move, as far as there is one."""
    trial: Trial | None = None
    """The open trial."""
    history: list[HistoryEntry] = Field(default_factory=list, max_length=MAX_HISTORY)
    """Finished trials, the newest first."""
    refused: list[Refused] = Field(default_factory=list, max_length=MAX_REFUSED)
    """Moves that did not pay."""
    settled: Settled | None = None
    """Set while the tuner holds still on purpose."""
    trials: int = Field(default=0, ge=0)
    """Trials since the beginning."""
    jumps: int = Field(default=0, ge=0)
    """Jumps since the last settling."""
    polishes: int = Field(default=0, ge=0)
    """Single-knob trials since the last settling."""
    noise: Figure = Field(default=0.08, ge=0)
    """Standard deviation of the logarithm of the throughput between windows, learnt from trials."""
    correction: Figure = Field(default=1.0, gt=0)
    """Factor on what the laws predict for a move, learnt from moves that did not come true."""
    problem: Text = ""
    """Why the tuner cannot work at the moment; empty when it can."""
