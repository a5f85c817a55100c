"""Windows -> the few numbers that trials compare, and which windows may be compared at all."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import Measurement
from embedding_operator.tuning.demands import demands
from embedding_operator.tuning.laws import capacity
from embedding_operator.tuning.observation import Observation
from embedding_operator.tuning.point import resolve
from embedding_operator.tuning.sample import Sample, mean
from embedding_operator.tuning.window import Window

NOISE_PRIOR_WEIGHT: Final = 3
"""Degrees of freedom that the remembered noise is worth beside measured windows."""
ANOTHER_LOAD: Final = 3.0
_LEAST: Final = 1e-6


def in_force(
    observation: Observation, settings: Mapping[str, Setting], since: float, settle_seconds: float
) -> list[Window]:
    """The windows that lie wholly in the time in which every pod ran its setting.

    Three witnesses must agree: the pods' acknowledgement, the clock, and the gauges inside the
    window itself, which also unmask a clock that is wrong. After a change `settle_seconds` pass
    first, for the requests that the old setting let in.
    """
    if observation.in_force_since is None or not isinstance(observation.metrics, tuple):
        return []
    begin = max(observation.in_force_since, since) + settle_seconds
    return [
        window
        for window in observation.metrics
        if window.start >= begin and _witnessed(window, settings)
    ]


def under_one_load(windows: Sequence[Window]) -> list[Window]:
    """The newest windows whose load is that of the newest one, within a factor of three.

    Windows from before the load came would make anything after look like a wonder.
    """
    row: list[Window] = []
    for window in reversed(windows):
        if row and not _same_load(window.over().arrivals, row[0].over().arrivals):
            break
        row.append(window)
    return row[::-1]


def _same_load(one: float, other: float) -> bool:
    if min(one, other) <= 0:
        return max(one, other) <= 0
    return abs(math.log(one / other)) <= math.log(ANOTHER_LOAD)


def _witnessed(window: Window, settings: Mapping[str, Setting]) -> bool:
    """Whether the gauges of every pod show its setting from the first to the last scrape."""
    return set(window.pods) == set(settings) and all(
        _shows(window.pods[pod], setting) for pod, setting in settings.items()
    )


def _shows(sample: Sample, setting: Setting) -> bool:
    wanted = {"num_streams": setting.num_streams, "semaphore_size": setting.semaphore_size}
    if setting.decode_workers:
        wanted["decode_workers"] = setting.decode_workers
    gauges = all(
        sample.get(f"{name}_least") == sample.get(f"{name}_most") == value
        for name, value in wanted.items()
    )
    # A GPU decoder that could not be had shows itself here: the server stayed on the CPU.
    decodes = {"gpu": 1.0, "cpu": 0.0}.get(setting.decode_device)
    return gauges and (decodes is None or sample.get("decode_on_gpu") == decodes)


def measure(
    windows: Sequence[Window], pods: Sequence[str], setting: Setting, max_batch: int
) -> Measurement:
    """Sum up windows of these pods (all when empty), which run `setting`."""
    samples = [window.over(pods) for window in windows]
    sample = mean(samples)
    logs = [math.log(max(one.images, _LEAST)) for one in samples]
    p95s = [math.log(max(one.p95_seconds, _LEAST)) for one in samples]
    at = resolve(setting, sample)
    costs = demands(sample, at, max_batch)
    ceiling = capacity(costs, at).throughput if costs else _LEAST
    return Measurement(
        log_throughput=sum(logs) / len(logs),
        log_p95=sum(p95s) / len(p95s),
        log_capacity=math.log(ceiling),
        spread=_deviation(logs),
        windows=len(windows),
        saturated=sample.saturated,
        rejected=sample.rejected,
    )


def _deviation(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    middle = sum(values) / len(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


def deviation(noise: float, *several: Measurement) -> float:
    """Standard deviation of one window's log throughput.

    What was measured, with the remembered noise worth NOISE_PRIOR_WEIGHT degrees of freedom.
    """
    squares = noise**2 * NOISE_PRIOR_WEIGHT
    freedom = float(NOISE_PRIOR_WEIGHT)
    for one in several:
        squares += one.spread**2 * (one.windows - 1)
        freedom += one.windows - 1
    return math.sqrt(squares / freedom)


def windows_needed(noise: float, gain: float, least: int, most: int) -> int:
    """Windows for each side, so that half of `gain` is seen with 90 % certainty, one-sided.

    n = 2 (1.3 sigma / delta)^2, delta = max(6 %, half of the gain).
    """
    delta = max(0.06, gain / 2)
    return min(most, max(least, math.ceil(2 * (1.3 * noise / delta) ** 2)))
