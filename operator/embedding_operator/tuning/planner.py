"""The next move: compute, do not climb. A jump to where the bounds cross, then single steps.

One computed jump took the mean of 400 simulated starts from 76 % to 96 % of the optimum
(tuner-findings, part d). All knobs move together, because a small semaphore hides the limit of the
lanes. Permits are 1.5 times what Little's law says fills the server.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from embedding_operator.api.tuning import MoveKind, TuningBounds
from embedding_operator.tuning.demands import Demands
from embedding_operator.tuning.laws import Capacity, capacity, response_seconds
from embedding_operator.tuning.point import PERMIT_STEPS, STREAM_STEPS, Point, step
from embedding_operator.tuning.rules import Rules
from embedding_operator.tuning.sample import Sample

WORTH: Final = 0.05
"""A predicted gain below this is not worth the disturbance of a jump."""
WORTH_LATENCY: Final = 0.10
WORTH_POLISH: Final = 0.02
EFFORT: Final = 0.05
"""What one unit of `_cost` must promise: 3 % for a knob that moves, 2.5 % for twice the lanes."""
MAX_JUMPS: Final = 3
MAX_POLISHES: Final = 5
PERMIT_MARGIN: Final = 1.5


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the setting with what is expected of it."""

    kind: MoveKind
    to: Point
    gain: float
    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan depends on.

    `refused` are points that did not pay, `refused_regions` points whose surroundings did not.
    `correction` scales the laws' gains after jumps that did not come true.
    """

    demands: Demands
    sample: Sample
    rules: Rules
    p95_objective: float | None = None
    refused: Collection[Point] = ()
    refused_regions: Collection[Point] = ()
    correction: float = 1.0
    jumps: int = 0
    polishes: int = 0
    decode_moves: bool = True

    @property
    def slo_violated(self) -> bool:
        """Whether the client's p95 breaks the objective."""
        return self.p95_objective is not None and self.sample.p95_seconds > self.p95_objective

    def allowed(self, points: Iterable[Point]) -> list[Point]:
        """Those that are new, not refused before, and break no rule."""
        at = self.demands.at
        return [
            point
            for point in dict.fromkeys(points)
            if point != at
            and point not in self.refused
            and not any(point.near(region) for region in self.refused_regions)
            and self.rules.refuse(point) is None
        ]


def plan(situation: Situation) -> Move | str:
    """Return the next move, or in words why there is none."""
    if (situation.sample.memory or 0.0) >= 0.95:
        return _out_of_memory(situation)
    if not situation.sample.saturated:
        if not situation.slo_violated:
            return "the load does not fill the service and no objective is broken"
        return _for_latency(situation)
    move = _jump(situation) if situation.jumps < MAX_JUMPS else None
    move = move or (_polish(situation) if situation.polishes < MAX_POLISHES else None)
    return move or _nothing(situation)


def _nothing(situation: Situation) -> str:
    expected = capacity(situation.demands, situation.demands.at)
    return (
        f"no allowed setting promises more than {100 * WORTH:.0f} %: "
        f"the tightest bound is {expected.tightest}"
    )


def _jump(situation: Situation) -> Move | None:
    demands = situation.demands
    now = capacity(demands, demands.at)
    expected = {point: capacity(demands, point) for point in situation.allowed(_grid(situation))}
    if not expected:
        return None
    to = max(
        expected,
        key=lambda point: math.log(expected[point].throughput) - EFFORT * _cost(point, demands.at),
    )
    gain = (expected[to].throughput / now.throughput - 1) * situation.correction
    if gain < WORTH:
        return None
    return Move("Jump", to, gain, _why(now, expected[to], demands.at, to))


def _for_latency(situation: Situation) -> Move | str:
    """Under light load nothing but the broken objective is a reason to move."""
    demands = situation.demands
    now = response_seconds(demands, capacity(demands, demands.at))
    expected = {
        point: response_seconds(demands, capacity(demands, point))
        for point in situation.allowed(_grid(situation))
    }
    if expected and situation.jumps < MAX_JUMPS:
        to = min(
            expected,
            key=lambda point: math.log(expected[point]) + EFFORT * _cost(point, demands.at),
        )
        gain = (1 - expected[to] / now) * situation.correction
        if gain >= WORTH_LATENCY:
            reason = f"p95 breaks the objective; the response should fall by {100 * gain:.0f} %"
            return Move("Latency", to, gain, reason)
    return "p95 breaks the objective, but no allowed setting promises a shorter response"


def _out_of_memory(situation: Situation) -> Move | str:
    """Give back lanes, whatever it costs: the alternative is to die."""
    at = situation.demands.at
    fewer = Point(step(at.streams, STREAM_STEPS, -1), at.permits, at.workers, at.on_gpu)
    if situation.allowed([fewer]) and fewer.streams < at.streams:
        return Move("Memory", fewer, 0.0, "the GPU memory is nearly used up")
    return "the GPU memory is nearly used up, and there is no lane left to give back"


def _grid(situation: Situation) -> Iterator[Point]:
    """Every combination worth a look; permits follow from Little's law at each."""
    demands, bounds = situation.demands, situation.rules.bounds
    at = demands.at
    for on_gpu in _devices(situation):
        for streams in _ladder(STREAM_STEPS, bounds.num_streams.min, bounds.num_streams.max):
            # Fewer decode threads never lift a bound: that is for single steps to try.
            more = [size for size in _workers(situation) if size >= at.workers]
            for workers in [at.workers] if on_gpu else more:
                yield _with_permits(demands, bounds, Point(streams, at.permits, workers, on_gpu))


def _devices(situation: Situation) -> tuple[bool, ...]:
    """Where decoding may happen: on the GPU only if warm-up measured it there."""
    if situation.decode_moves and situation.demands.gpu_decode is not None:
        return (False, True)
    return (situation.demands.at.on_gpu,)


def _workers(situation: Situation) -> list[int]:
    """Quarters of the cores, and what is in force."""
    bounds, at = situation.rules.bounds.decode_workers, situation.demands.at
    if bounds.max == 0:
        return [at.workers]
    cores = situation.demands.cores
    sizes = {max(1, round(cores * quarter / 4)) for quarter in (1, 2, 3, 4)}
    return sorted({size for size in sizes if bounds.holds(size)} | {at.workers})


def _ladder(steps: tuple[int, ...], low: int, high: int) -> list[int]:
    return sorted({value for value in steps if low <= value <= high} | {low, high})


def _with_permits(demands: Demands, bounds: TuningBounds, point: Point) -> Point:
    """Take 1.5 N* permits, and never fewer than there are: too many cost little, too few much."""
    wanted = math.ceil(PERMIT_MARGIN * capacity(demands, point).permits)
    clamped = bounds.semaphore_size.clamp(max(point.permits, wanted))
    return Point(point.streams, clamped, point.workers, point.on_gpu)


def _cost(point: Point, at: Point) -> float:
    """Octaves of lanes, permits and threads, and knobs that move: all of it must pay."""
    size = 0.5 * math.log2(point.streams) + 0.1 * math.log2(point.permits)
    return size + 0.25 * math.log2(point.workers) + 0.6 * point.changed(at)


def _why(now: Capacity, then: Capacity, at: Point, to: Point) -> str:
    held = "permits" if now.throughput < 0.9 * now.ceiling else now.tightest
    return (
        f"{held} hold it at {now.throughput:.4g} images/s; {describe(at, to)} should give "
        f"{then.throughput:.4g}, then {then.tightest} is the limit"
    )


def describe(at: Point, to: Point) -> str:
    """The change in words."""
    parts = []
    if to.streams != at.streams:
        parts.append(f"numStreams {at.streams} to {to.streams}")
    if to.permits != at.permits:
        parts.append(f"semaphoreSize {at.permits} to {to.permits}")
    if to.on_gpu != at.on_gpu:
        parts.append(f"decodeDevice to {'gpu' if to.on_gpu else 'cpu'}")
    elif to.workers != at.workers:
        parts.append(f"decodeWorkers {at.workers} to {to.workers}")
    return ", ".join(parts) or "no change"


def _polish(situation: Situation) -> Move | None:
    """One single-knob step, the one that laws and symptoms promise most of."""
    demands = situation.demands
    now = capacity(demands, demands.at).throughput
    scored = [
        (capacity(demands, point).throughput / now - 1 + _symptoms(situation, point), point)
        for point in situation.allowed(_neighbours(situation))
    ]
    promising = [(gain, point) for gain, point in scored if gain >= WORTH_POLISH]
    if not promising:
        return None
    # Of equally promising steps the one to the smaller setting.
    gain, to = max(promising, key=lambda pair: (round(pair[0], 2), -_cost(pair[1], demands.at)))
    return Move("Polish", to, gain, f"the next step that may pay: {describe(demands.at, to)}")


def _neighbours(situation: Situation) -> Iterator[Point]:
    at = situation.demands.at
    for by in (1, 2, -1, -2):
        yield Point(step(at.streams, STREAM_STEPS, by), at.permits, at.workers, at.on_gpu)
        yield Point(at.streams, step(at.permits, PERMIT_STEPS, by), at.workers, at.on_gpu)
    more = step(at.streams, STREAM_STEPS, 1)
    yield Point(more, step(at.permits, PERMIT_STEPS, 2), at.workers, at.on_gpu)
    if not at.on_gpu:
        for workers in _workers(situation):
            yield Point(at.streams, at.permits, workers, at.on_gpu)
    for on_gpu in _devices(situation):
        yield Point(at.streams, at.permits, at.workers, on_gpu)


def _symptoms(situation: Situation, to: Point) -> float:
    """What the bounds do not know: symptoms that foretold a gain in the simulated plants."""
    sample, at = situation.sample, situation.demands.at
    cpu, host = sample.share("cpu") or 0.0, sample.host
    lanes, gpu = sample.share("lanes") or 0.0, sample.share("gpu") or 0.0
    hardware = max(cpu, host, gpu)
    gain = 0.0
    if max(cpu, host) > 0.85 and to.on_gpu == at.on_gpu and to.streams < at.streams:
        gain += 0.04 + (0.05 if host > 0.9 else 0.0)  # fewer lanes launch fewer, larger batches
    if lanes > 0.88 and hardware < 0.985 and to.streams > at.streams:
        gain += 0.08 if hardware < 0.93 else 0.05
    elif lanes > 0.95 and max(cpu, host) < 0.85 and to.streams > at.streams:
        # The GPU's busy time says that something ran, not how full it was: only a trial tells.
        gain += 0.04
    if sample.decode > 0.9 and max(cpu, host) < 0.93 and to.workers > at.workers:
        gain += 0.08
    gated = (sample.share("permits") or 0.0) > 0.93 and sample.queueing and max(cpu, host) < 0.9
    if gated and lanes > 0.95 and to.streams > at.streams and to.permits > at.permits:
        gain += 0.03  # either alone only moves the queue
    if gated and to.permits > at.permits and lanes < 0.92 and sample.decode < 0.92:
        gain += 0.06
    return gain
