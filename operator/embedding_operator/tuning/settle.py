"""Hold still when nothing promises a gain, and notice when the world is another one."""

from typing import Final

from embedding_operator.api.tuning import Settled
from embedding_operator.tuning.sample import Sample

MOVED: Final = 0.30
"""Load or work that changed by this share is another load."""


def settle(
    sample: Sample, reason: str, p95_objective: float | None, previous: Settled | None, now: float
) -> Settled:
    """Hold still from here. An unbroken rest keeps its beginning and its reference."""
    if previous is not None:
        return previous
    return Settled(
        since=now,
        reason=reason,
        arrivals=sample.arrivals,
        images_per_request=sample.images_per_request,
        cpu_seconds_per_image=_cost(sample),
        slo_violated=_violated(sample, p95_objective),
        saturated=sample.saturated,
    )


def moved(
    settled: Settled, sample: Sample, p95_objective: float | None, noise: float
) -> str | None:
    """Say what changed since then, or None. Noise is no change."""
    limit = max(MOVED, 3 * noise)
    for words, before, now in (
        ("the load", settled.arrivals, sample.arrivals),
        ("the size of the requests", settled.images_per_request, sample.images_per_request),
        ("the work of one image", settled.cpu_seconds_per_image, _cost(sample)),
    ):
        if before > 0 and now > 0 and abs(now / before - 1) > limit:
            return f"{words} changed from {before:.3g} to {now:.3g}"
        if before <= 0 < now:
            return f"{words} came back"
    if sample.saturated and not settled.saturated:
        return "the load fills the service now"
    if _violated(sample, p95_objective) and not settled.slo_violated:
        return "the p95 objective is broken now"
    return None


def _cost(sample: Sample) -> float:
    return sample.of("cpu_busy") / sample.images if sample.images > 0 else 0.0


def _violated(sample: Sample, p95_objective: float | None) -> bool:
    return p95_objective is not None and sample.p95_seconds > p95_objective
