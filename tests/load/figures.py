"""What a load measured: pure arithmetic on the answers' times."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["ok", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it ended (seconds, monotonic), how long it took, and what came of it.

    `images` counts the vectors that came back. `fault` says why it failed.
    """

    ended: float
    seconds: float
    outcome: Outcome
    images: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """One stretch of a load. Percentiles are NaN where nothing succeeded."""

    seconds: float
    ok: int
    refused: int
    failed: int
    images: int
    images_per_second: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    faults: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return (
            f"{self.images_per_second:.1f} images/s, p50 {self.p50_seconds:.3f} s, "
            f"p95 {self.p95_seconds:.3f} s, {self.ok} answered, {self.refused} refused (429), "
            f"{self.failed} failed"
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0..1) of `ordered` does not exceed."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures(answers: Iterable[Answer], begin: float, end: float) -> Figures:
    """Sum up the answers that ended in the half-open stretch [begin, end) of monotonic seconds."""
    inside = [answer for answer in answers if begin <= answer.ended < end]
    outcomes = Counter(answer.outcome for answer in inside)
    times = sorted(answer.seconds for answer in inside if answer.outcome == "ok")
    images = sum(answer.images for answer in inside)
    seconds = max(end - begin, 1e-9)
    faults = Counter(answer.fault for answer in inside if answer.outcome == "failed")
    return Figures(
        seconds=seconds,
        ok=outcomes["ok"],
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        images=images,
        images_per_second=images / seconds,
        p50_seconds=percentile(times, 0.50),
        p95_seconds=percentile(times, 0.95),
        p99_seconds=percentile(times, 0.99),
        faults=tuple(f"{count} x {fault}" for fault, count in faults.most_common(5)),
    )
