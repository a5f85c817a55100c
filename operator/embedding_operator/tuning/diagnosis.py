"""What limits the service: one class with its evidence, the innermost resource first.

A full outer pool is a symptom of a full inner one (software bottlenecks: Woodside, Neilson,
Petriu, Majumdar 1995), so hardware is asked before pools, pools before permits, and the client is
blamed last. The table is the contract's: a pod judges itself by the same one.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Final

from embedding_contract import bottleneck
from embedding_contract.bottleneck import SHARES, Bottleneck
from embedding_operator.api.tuning import Diagnosis, Evidence
from embedding_operator.tuning.sample import Sample, mean
from embedding_operator.tuning.window import Window

SPREAD_TOO_WIDE: Final = 0.35
"""Standard deviation of ln(throughput) between windows, above which no verdict is worth much."""


def diagnose(
    windows: Sequence[Window], p95_objective: float | None, previous: Diagnosis | None, now: float
) -> Diagnosis:
    """Judge some windows of one setting. `previous` lends its beginning to an unchanged class."""
    samples = [window.over() for window in windows]
    sample = mean(samples)
    duration = sum(window.end - window.start for window in windows)
    verdict = classify(sample, previous.bottleneck if previous else None)
    if 0 < sample.requests * duration < bottleneck.TOO_FEW_REQUESTS:
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
        remedy=bottleneck.REMEDIES[verdict],
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
        remedy=bottleneck.REMEDIES[verdict],
    )


def _allowed_spread(requests: float) -> float:
    """Few requests in a window scatter by themselves, as 1 / sqrt(n)."""
    return max(SPREAD_TOO_WIDE, 1.5 / math.sqrt(max(requests, 1.0)))


def classify(sample: Sample, last: Bottleneck | None = None) -> Bottleneck:
    """The class of one sample, by the table of the contract."""
    shares = {name: sample.share(name) for name in SHARES}
    return bottleneck.classify(shares, queueing=sample.queueing, last=last)


def spread(throughputs: Sequence[float]) -> float:
    """Standard deviation over mean of several windows' throughputs; 0 for fewer than two."""
    if len(throughputs) < 2 or max(throughputs) <= 0:
        return 0.0
    return statistics.stdev(throughputs) / statistics.fmean(throughputs)


def _since(verdict: Bottleneck, previous: Diagnosis | None, now: float) -> float:
    same = previous is not None and previous.bottleneck == verdict
    return previous.since if previous is not None and same else now


def _message(verdict: Bottleneck, sample: Sample, duration: float) -> str:
    load = bottleneck.Load(
        seconds=duration,
        images=sample.images,
        requests=sample.requests,
        waiting=sample.waiting,
        permits=sample.semaphore_size,
    )
    return bottleneck.explain(verdict, {name: sample.share(name) for name in SHARES}, load)


def _evidence(sample: Sample, p95_objective: float | None) -> list[Evidence]:
    """The numbers, those with a threshold first."""
    shares = [
        Evidence(name=f"{bottleneck.WORDS[name]} busy", value=share, threshold=limit)
        for name, limit in bottleneck.THRESHOLDS.items()
        if (share := sample.share(name)) is not None
    ]
    waiting = Evidence(
        name="waiting", value=sample.waiting, unit="requests", threshold=bottleneck.WAITING_LEAST
    )
    p95 = Evidence(
        name="request p95", value=sample.p95_seconds, unit="seconds", threshold=p95_objective
    )
    return [*shares, waiting, p95]
