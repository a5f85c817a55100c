"""From prometheus_client's counters to one `Reading`. No metric name is written here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from prometheus_client import Counter, Histogram

from embedding_contract import metrics as contract
from embedding_service.activity import Passes, Reading

_BUSY: Final[Mapping[str, contract.Metric]] = {
    "lanes": contract.STREAM_BUSY,
    "decode": contract.DECODE_BUSY,
    "copy": contract.COPY_BUSY,
    "gpu": contract.GPU_BUSY,
    "gpu_decode": contract.GPU_DECODE_BUSY,
}
"""Words of a reading, and the counters behind them."""


def still(live: Reading, before: Reading) -> Reading:
    """Return `live` (clocks and gauges) with the counters of `before`: nothing has happened."""
    return replace(
        before,
        at=live.at,
        setting=live.setting,
        in_flight=live.in_flight,
        waiting=live.waiting,
        permits=live.permits,
        busy={**before.busy, **live.busy},
    )


def counted(
    live: Reading, counters: Mapping[str, Counter], histograms: Mapping[str, Histogram]
) -> Reading:
    """Return `live` (clocks and gauges) with all counters, which are keyed by their names."""
    requests = _values(counters, contract.REQUESTS)
    unserved = sum(requests.pop(outcome, 0.0) for outcome in ("rejected", "expired"))
    busy = {name: sum(_values(counters, metric).values()) for name, metric in _BUSY.items()}
    return replace(
        live,
        requests=sum(requests.values()),
        rejected=unserved,
        images=sum(_values(counters, contract.IMAGES).values()),
        busy={**busy, **live.busy},
        stages=_passes(histograms, contract.STAGE_DURATION),
        waits=_passes(histograms, contract.STAGE_WAIT),
    )


def _values(counters: Mapping[str, Counter], metric: contract.Metric) -> dict[str, float]:
    """Return a counter's values by its label's value, "" where it has no label."""
    (family,) = counters[metric.name].collect()
    return {
        next(iter(sample.labels.values()), ""): sample.value
        for sample in family.samples
        if sample.name == metric.name
    }


def _passes(histograms: Mapping[str, Histogram], metric: contract.Metric) -> dict[str, Passes]:
    """Return seconds and passes by stage."""
    (family,) = histograms[metric.name].collect()
    found = {
        (sample.labels["stage"], sample.name): sample.value
        for sample in family.samples
        if "le" not in sample.labels
    }
    return {
        stage: (found[stage, f"{metric.name}_sum"], found[stage, f"{metric.name}_count"])
        for stage in contract.STAGES
    }
