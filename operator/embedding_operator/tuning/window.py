"""Answers of Prometheus -> complete windows, or the reason why they cannot be trusted.

Absent is not zero: a ready pod without a required figure makes a gap, never a guess. The newest
window decides whether the metrics work at all; an older incomplete window only ends the row.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from embedding_operator.tuning.queries import QUERIES, REQUIRED, Answers
from embedding_operator.tuning.sample import Key, Sample, mean

GapReason = Literal[
    "PrometheusNotConfigured", "PrometheusUnreachable", "Missing", "Stale", "Partial", "NotFinite",
]  # fmt: skip

SENTINEL: Final = 9e18
"""Exporters write values near 9.2e18 for "no value"."""


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of time in which every ready pod was seen whole."""

    start: float
    end: float
    pods: Mapping[str, Sample]

    def over(self, names: Sequence[str] = ()) -> Sample:
        """The mean of these pods, or of all."""
        return mean(self.pods[name] for name in (names or sorted(self.pods)))


Windows = tuple[Window, ...]
"""Complete windows in a row, the oldest first, the last one ending now."""


@dataclass(frozen=True, slots=True)
class MetricsGap:
    """The metrics cannot be trusted now; `message` says what to do."""

    reason: GapReason
    message: str


def instants(now: float, window_seconds: float, count: int) -> tuple[float, ...]:
    """The ends of the last `count` windows, the oldest first."""
    return tuple(now - window_seconds * back for back in range(count - 1, -1, -1))


def build_windows(
    answers: Answers, pods: Mapping[str, float], ends: Sequence[float], window_seconds: float
) -> Windows | MetricsGap:
    """Put the answers together, window by window, from the newest back to the first hole.

    `pods` are the ready pods with the moment when each began; a window that began earlier does
    not count, and that is no fault. `ends` is the oldest first.
    """
    usable = [end for end in ends if end - window_seconds >= max(pods.values(), default=math.inf)]
    table = _table(answers, pods, ends, window_seconds)
    if usable and usable[-1] == ends[-1]:
        gap = _gap(table, pods, list(ends), window_seconds)
        if gap is not None:
            return gap
    row: list[Window] = []
    for end in reversed(usable):
        found = table[end]
        if any(_missing(found.get(pod, {})) for pod in pods):
            break
        samples = {pod: Sample(found[pod]) for pod in pods}
        row.append(Window(end - window_seconds, end, samples))
    return tuple(reversed(row))


_Table = dict[float, dict[str, dict[Key, float]]]
"""End of window -> pod -> figures."""


def _table(
    answers: Answers, pods: Mapping[str, float], ends: Sequence[float], window_seconds: float
) -> _Table:
    """Sort every point by window and pod. Unusable numbers become NaN in the place of a figure."""
    table: _Table = {end: {} for end in ends}
    labels = {query.name: query.label for query in QUERIES}
    for name, several in answers.items():
        for series in several:
            pod = series.labels.get("pod", "")
            if pod not in pods:
                continue
            key = (name, series.labels.get(labels[name], ""))
            for time, value in series.points:
                end = _nearest(time, ends, window_seconds)
                if end is not None:
                    table[end].setdefault(pod, {})[key] = value if _usable(value) else math.nan
    return {
        end: {pod: _known(figures) for pod, figures in by_pod.items()}
        for end, by_pod in table.items()
    }


def _nearest(time: float, ends: Sequence[float], window_seconds: float) -> float | None:
    """The window's end that this point was asked for; answers carry milliseconds."""
    best = min(ends, key=lambda end: abs(end - time), default=None)
    return best if best is not None and abs(best - time) < window_seconds / 4 else None


def _usable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < SENTINEL


def _known(figures: dict[Key, float]) -> dict[Key, float]:
    """Drop what is not a number where absence only means unknown; keep the holes that matter."""
    return {
        key: value for key, value in figures.items() if key[0] in REQUIRED or not math.isnan(value)
    }


def _missing(figures: Mapping[Key, float]) -> list[str]:
    """Required figures that this pod lacks, or whose number cannot be used."""
    seen = {name for name, _ in figures}
    broken = {name for (name, _), value in figures.items() if math.isnan(value)}
    few = figures.get(("samples", ""), 0.0) < 2
    absent = [name for name in REQUIRED if name not in seen or name in broken]
    return [*absent, *(["samples"] if few and "samples" not in absent else [])]


def _gap(
    table: _Table, pods: Mapping[str, float], ends: Sequence[float], window_seconds: float
) -> MetricsGap | None:
    """Say what is wrong with the newest window, if anything is."""
    newest = table[ends[-1]]
    silent = sorted(pod for pod in pods if not newest.get(pod))
    if len(silent) == len(pods):
        return _all_silent(table, pods, window_seconds)
    if silent:
        return MetricsGap(
            "Partial", f"Prometheus has no samples of {_names(silent)}: check that it is scraped"
        )
    for pod in sorted(pods):
        broken = sorted({key[0] for key, value in newest[pod].items() if math.isnan(value)})
        if broken:
            return MetricsGap("NotFinite", f"{pod} reports numbers out of reason: {_names(broken)}")
        if newest[pod].get(("samples", ""), 0.0) < 2:
            return MetricsGap(
                "Partial",
                f"{pod} has fewer than two scrapes in {window_seconds:g} s: scrape more often or "
                "raise spec.tuning.windowSeconds to three times the scrape interval",
            )
        missing = _missing(newest[pod])
        if missing:
            return MetricsGap("Partial", f"{pod} lacks {_names(missing)} in the last window")
    return None


def _all_silent(table: _Table, pods: Mapping[str, float], window_seconds: float) -> MetricsGap:
    if any(by_pod for by_pod in table.values()):
        return MetricsGap(
            "Stale", f"no sample came in the last {window_seconds:g} s: Prometheus stopped scraping"
        )
    return MetricsGap(
        "Missing",
        f"Prometheus knows none of {_names(sorted(pods))}: add a scrape of port http, path "
        "/metrics, with the labels namespace and pod",
    )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
