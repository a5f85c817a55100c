"""The one catalogue of what the tuner asks Prometheus: text, unit and what absence means.

Law: metric names come from the contract. A query covers one window: range = window, evaluated at
the window's end, so that nothing of another window is smeared in (tuner-findings, trap 8). The
time is Prometheus's own, and a window needs three scrapes, two at the very least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from embedding_contract import metrics as contract

Absence = Literal["gap", "unknown"]
"""gap: a ready pod without it means that the metrics cannot be trusted. unknown: the pod has no
such thing (no GPU, not measured). Absent is never zero."""

_RATE: Final = "sum by ({by}) (rate({metric}[{window}]))"
_MEAN: Final = "avg by ({by}) (avg_over_time({metric}[{window}]))"
_LEAST: Final = "min by ({by}) (min_over_time({metric}[{window}]))"
_MOST: Final = "max by ({by}) (max_over_time({metric}[{window}]))"
_SAMPLES: Final = "min by ({by}) (count_over_time({metric}[{window}]))"


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    `name` keys the answer. `label` is the label kept beside the pod's name, if any. `unit` is that
    of the answer, per pod.
    """

    name: str
    template: str
    metric: str
    unit: str
    absence: Absence = "gap"
    label: str = ""

    def text(self, namespace: str, pods: Sequence[str], window_seconds: float) -> str:
        """Write the PromQL for these pods and a window of this many seconds."""
        by = f"pod, {self.label}" if self.label else "pod"
        metric = self.metric + _selector(namespace, pods)
        return self.template.format(by=by, metric=metric, window=_duration(window_seconds))


@dataclass(frozen=True, slots=True)
class Series:
    """One line of an answer: its labels and its points (seconds since the epoch, value)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


Answers = Mapping[str, Sequence[Series]]
"""What Prometheus said, by query name."""


def _selector(namespace: str, pods: Sequence[str]) -> str:
    """Match by namespace and pod names: every scrape set-up has these two labels."""
    # The text goes through str.format once; pod names hold no braces and no quotes.
    names = "|".join(sorted(name.replace(".", r"\\.") for name in pods))
    return f'{{namespace="{namespace}",pod=~"{names}"}}'


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _rate(name: str, metric: contract.Metric, label: str = "", part: str = "") -> Query:
    unit = "1/s" if metric.unit != "seconds" or part in {"_count", "_bucket"} else "s/s"
    return Query(name, _RATE, metric.name + part, unit, "gap", label)


def _mean(name: str, metric: contract.Metric, absence: Absence = "gap") -> Query:
    return Query(name, _MEAN, metric.name, metric.unit, absence)


def _ends(name: str, metric: contract.Metric) -> tuple[Query, Query]:
    """Ask for both ends of a gauge: where they differ the window lies across a change."""
    return (
        Query(f"{name}_least", _LEAST, metric.name, metric.unit),
        Query(f"{name}_most", _MOST, metric.name, metric.unit),
    )


def _static(name: str, metric: contract.Metric, label: str = "") -> Query:
    return Query(name, _MOST, metric.name, metric.unit, "unknown", label)


QUERIES: Final[tuple[Query, ...]] = (
    Query("samples", _SAMPLES, contract.INFLIGHT_REQUESTS.name, "scrapes"),
    _rate("requests", contract.REQUESTS, "outcome"),
    _rate("images", contract.IMAGES, "outcome"),
    # Of requests answered ok only: refusals take no time and would flatter the percentiles.
    _rate("request_seconds", contract.REQUEST_DURATION, "", "_sum"),
    _rate("request_buckets", contract.REQUEST_DURATION, "le", "_bucket"),
    _rate("stage_seconds", contract.STAGE_DURATION, "stage", "_sum"),
    _rate("stage_passes", contract.STAGE_DURATION, "stage", "_count"),
    _rate("batches", contract.BATCHES),
    _rate("batch_images", contract.BATCH_SIZE, "", "_sum"),
    _mean("permits", contract.PERMITS_IN_USE),
    _mean("waiting", contract.WAITING_REQUESTS),
    _rate("cpu_busy", contract.CPU_BUSY),
    _rate("stream_busy", contract.STREAM_BUSY),
    _rate("decode_busy", contract.DECODE_BUSY),
    _rate("loop_busy", contract.LOOP_BUSY),
    _rate("gil_busy", contract.GIL_BUSY),
    _rate("copy_busy", contract.COPY_BUSY),
    _rate("gpu_busy", contract.GPU_BUSY),
    _rate("gpu_decode_busy", contract.GPU_DECODE_BUSY),
    _rate("cpu_throttled", contract.CPU_THROTTLED),
    _mean("cpu_limit", contract.CPU_LIMIT),
    *_ends("num_streams", contract.NUM_STREAMS),
    *_ends("semaphore_size", contract.SEMAPHORE_SIZE),
    *_ends("decode_workers", contract.DECODE_WORKERS),
    _mean("decode_on_gpu", contract.DECODE_ON_GPU),
    Query("gpu_memory_used", _MOST, contract.GPU_MEMORY_USED.name, "bytes", "unknown"),
    _mean("gpu_memory_total", contract.GPU_MEMORY_TOTAL, "unknown"),
    _static("warmup_lane_seconds", contract.WARMUP_LANE_SECONDS, "batch"),
    _static("warmup_decode_seconds", contract.WARMUP_DECODE_SECONDS, "device"),
    _static("warmup_lane_bytes", contract.WARMUP_LANE_BYTES),
    _static("warmup_permit_bytes", contract.WARMUP_PERMIT_BYTES),
)
"""Every question of one tick. Each is asked once for all windows: the step is the window."""

REQUIRED: Final = tuple(query.name for query in QUERIES if query.absence == "gap")
