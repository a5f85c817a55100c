"""What limits the service: one class with its evidence, the innermost resource first.

A full outer pool is a symptom of a full inner one (software bottlenecks: Woodside, Neilson,
Petriu, Majumdar 1995), so hardware is asked before pools, pools before permits, and the client is
blamed last. Thresholds: tuner-findings, part b, tuned on one half of 1400 simulated settings and
tested on the other.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Final

from embedding_operator.api.tuning import Bottleneck, Diagnosis, Evidence
from embedding_operator.tuning.sample import Sample, mean
from embedding_operator.tuning.window import Window

MEMORY_FULL: Final = 0.95
HARDWARE: Final[tuple[tuple[str, Bottleneck, float], ...]] = (
    ("cpu", "CPUBound", 0.93),
    ("gpu", "GPUSaturated", 0.88),
    ("host", "HostBound", 0.85),
    ("copy", "CopyBound", 0.93),
)
POOLS: Final[tuple[tuple[str, Bottleneck, float], ...]] = (
    ("decode", "DecodeLimited", 0.93),
    ("lanes", "StreamLimited", 0.97),
)
PERMITS_FULL: Final = 0.93
CLIENT_BELOW: Final = 0.85
SPREAD_TOO_WIDE: Final = 0.35
"""Standard deviation of ln(throughput) between windows, above which no verdict is worth much."""
TOO_FEW_REQUESTS: Final = 8
HOLD: Final = 0.03
"""So far below its threshold a class stays."""

_THRESHOLDS: Final = {
    "memory": MEMORY_FULL,
    **{name: limit for name, _, limit in (*HARDWARE, *POOLS)},
    "permits": PERMITS_FULL,
}
_WORDS: Final = {
    "memory": "GPU memory", "cpu": "CPU", "gpu": "GPU", "host": "interpreter lock or event loop",
    "copy": "copies to and from the GPU", "decode": "decode pool", "lanes": "streams (lanes)",
    "permits": "permits (semaphore)",
}  # fmt: skip

_REMEDIES: Final[dict[Bottleneck, str]] = {
    "NoData": "Wait for whole windows with the setting in force, or repair the metrics.",
    "Unstable": "Wait: nothing is judged while pods come and go or the load jumps about.",
    "MemoryBound": "Fewer streams, a smaller maxBatch, or a GPU with more memory.",
    "CPUBound": "More CPU (resources.limits.cpu), decodeDevice gpu, smaller images, or replicas. "
    "More streams would only wait for the CPU.",
    "GPUSaturated": "More replicas or a faster GPU: this one is used up.",
    "HostBound": "Larger requests, fewer streams, or replicas: one Python process is used up.",
    "CopyBound": "Larger batches, or replicas: the bus to the GPU is used up.",
    "DecodeLimited": "More decodeWorkers, or decodeDevice gpu.",
    "StreamLimited": "More numStreams: the lanes are always taken while the hardware is not full.",
    "AdmissionLimited": "A larger semaphoreSize: requests wait outside while the inside has room.",
    "ClientLimited": "Nothing here: the clients do not ask for more.",
    "Balanced": "Nothing: no single resource stands out.",
}


def diagnose(
    windows: Sequence[Window], p95_objective: float | None, previous: Diagnosis | None, now: float
) -> Diagnosis:
    """Judge some windows of one setting. `previous` lends its beginning to an unchanged class."""
    samples = [window.over() for window in windows]
    sample = mean(samples)
    duration = sum(window.end - window.start for window in windows)
    verdict = classify(sample, previous.bottleneck if previous else None)
    if 0 < sample.requests * duration < TOO_FEW_REQUESTS:
        verdict = "NoData"
    elif sample.saturated and spread([one.images for one in samples]) > _allowed_spread(
        sample.requests * duration / len(windows)
    ):
        verdict = "Unstable"
    agreeing = sum(classify(one) == verdict for one in samples) / len(samples)
    slo_violated = p95_objective is not None and sample.p95_seconds > p95_objective
    return Diagnosis(
        bottleneck=verdict,
        since=_since(verdict, previous, now),
        confidence=agreeing,
        slo_violated=slo_violated,
        message=_message(verdict, sample, duration),
        remedy=_REMEDIES[verdict],
        evidence=_evidence(sample, p95_objective),
    )


def undecided(
    verdict: Bottleneck, message: str, previous: Diagnosis | None, now: float
) -> Diagnosis:
    """A diagnosis without numbers: NoData or Unstable."""
    return Diagnosis(
        bottleneck=verdict,
        since=_since(verdict, previous, now),
        confidence=1.0,
        message=message,
        remedy=_REMEDIES[verdict],
    )


def _allowed_spread(requests: float) -> float:
    """Few requests in a window scatter by themselves, as 1 / sqrt(n)."""
    return max(SPREAD_TOO_WIDE, 1.5 / math.sqrt(max(requests, 1.0)))


def classify(sample: Sample, last: Bottleneck | None = None) -> Bottleneck:
    """The class of one sample, the innermost resource first.

    The class of the `last` time begins a little earlier: a number at its threshold must not make
    the verdict swing to and fro.
    """
    if (sample.memory or 0.0) >= MEMORY_FULL:
        return "MemoryBound"
    # The fullest resource of a layer, not the one furthest above its own threshold.
    for layer in (HARDWARE, POOLS):
        full = [
            (sample.share(name) or 0.0, verdict)
            for name, verdict, limit in layer
            if (sample.share(name) or 0.0) >= limit - (HOLD if verdict == last else 0.0)
        ]
        if full:
            return max(full)[1]
    if (sample.share("permits") or 0.0) >= PERMITS_FULL and sample.queueing:
        return "AdmissionLimited"
    if not sample.queueing and sample.fullest < CLIENT_BELOW:
        return "ClientLimited"
    return "Balanced"


def spread(throughputs: Sequence[float]) -> float:
    """Standard deviation over mean of several windows' throughputs; 0 for fewer than two."""
    if len(throughputs) < 2 or max(throughputs) <= 0:
        return 0.0
    return statistics.stdev(throughputs) / statistics.fmean(throughputs)


def _since(verdict: Bottleneck, previous: Diagnosis | None, now: float) -> float:
    same = previous is not None and previous.bottleneck == verdict
    return previous.since if previous is not None and same else now


def _message(verdict: Bottleneck, sample: Sample, duration: float) -> str:
    load = (
        f"{sample.images:.4g} images/s a pod over {duration:.0f} s, "
        f"{sample.waiting:.3g} requests waiting"
    )
    if sample.requests <= 0:
        return f"No requests in {duration:.0f} s."
    names = {verdict: name for name, verdict, _ in (*HARDWARE, *POOLS)}
    if verdict in names:
        name = names[verdict]
        # Busy time is counted when the work ends, so a short window may see more than there was.
        share = min(100.0, 100 * (sample.share(name) or 0.0))
        return f"The {_WORDS[name]} is {share:.0f} % busy: {load}."
    match verdict:
        case "MemoryBound":
            return f"{100 * (sample.memory or 0.0):.0f} % of the GPU memory is in use: {load}."
        case "AdmissionLimited":
            return (
                f"All {sample.semaphore_size:.0f} permits are taken and requests wait, while no "
                f"resource inside is full (the fullest {100 * sample.fullest:.0f} %): {load}."
            )
        case "ClientLimited":
            return (
                f"No request waits and every resource has room (the fullest "
                f"{100 * sample.fullest:.0f} %): {load}."
            )
        case "Unstable":
            return f"The throughput differs too much between the windows: {load}."
        case "NoData":
            return f"Too few requests to judge: {sample.requests * duration:.0f} requests; {load}."
        case _:
            return f"No single resource is full (the fullest {100 * sample.fullest:.0f} %): {load}."


def _evidence(sample: Sample, p95_objective: float | None) -> list[Evidence]:
    """The numbers, those with a threshold first."""
    shares = [
        Evidence(name=f"{_WORDS[name]} busy", value=share, threshold=limit)
        for name, limit in _THRESHOLDS.items()
        if (share := sample.share(name)) is not None
    ]
    waiting = Evidence(name="waiting", value=sample.waiting, unit="requests", threshold=0.3)
    p95 = Evidence(
        name="request p95", value=sample.p95_seconds, unit="seconds", threshold=p95_objective
    )
    return [*shares, waiting, p95]
