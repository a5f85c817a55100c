"""Rates, percentiles and ratios out of what a client noted: arithmetic only."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from load.figures import percentile

Completed = Sequence[tuple[float, float, int]]
"""(end, seconds, images) of each answer, ends counted from the beginning of the window."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the lowest and the highest of its values."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        if math.isnan(self.median):
            return "not measured"
        return f"{self.median:.2f} ({self.range()})"

    def range(self, scale: float = 1.0, digits: int = 2) -> str:
        """Return `lowest to highest`, empty when nothing was measured."""
        if math.isnan(self.median):
            return ""
        return f"{self.lowest * scale:.{digits}f} to {self.highest * scale:.{digits}f}"


def spread(values: Sequence[float]) -> Spread:
    """Sum up values; NaN when there are none."""
    if not values:
        return Spread(math.nan, math.nan, math.nan)
    return Spread(statistics.median(values), min(values), max(values))


def images_per_second(completed: Completed, window: float) -> float:
    """Return the slope of the line through the sum of images over time.

    Requests of 40 images come in bursts of as many as there are permits. What falls into a window
    then depends on where it is cut, by 5 % and more; the slope does not. With fewer than three
    answers it is the plain count over the window.
    """
    ordered = sorted(completed)
    total, times, sums = 0, [], []
    for ended, _, images in ordered:
        total += images
        times.append(ended)
        sums.append(float(total))
    if len(times) < 3 or times[-1] - times[0] < window / 3:
        return total / window
    return statistics.linear_regression(times, sums).slope


def seconds_at(completed: Completed, share: float) -> float:
    """Return the percentile (share 0..1) of the answers' seconds, NaN without answers."""
    return percentile(sorted(seconds for _, seconds, _ in completed), share)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the ratio of each pair, summed up: a drifting machine hurts both of a pair alike."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True) if other > 0])
