"""The laws: what a setting can carry, from the demands measured at another one.

Sources: asymptotic bounds (Denning & Buzen 1978; Muntz & Wong 1974), X <= min over resources of
servers / demand; Little's law N = X R (Little 1961); exact mean value analysis of one queueing
station with a delay (Reiser & Lavenberg 1980), blended 1 : 3 with the asymptote, because stages
in a row are steadier than one exponential server; the batch law: a batch grows until the lanes
keep up with the supply. Shares of one server are used to 98.5 %.
"""

import math
from dataclasses import dataclass
from typing import Final

from embedding_operator.tuning.demands import Demands
from embedding_operator.tuning.point import Point

USABLE: Final = 0.985
_FREE: Final = 1e12
"""A bound that does not bind, images a second."""
_GPU_DECODE_ON_SMS: Final = 0.5
"""Share of the GPU decoder's time that it takes from the kernels (nvJPEG uses SMs for a part)."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the laws expect at one point.

    `throughput` and `ceiling` (without the limit of the permits) in images a second, `residence`
    the seconds of one request alone in the server, `permits` that fill the server (Little).
    `bounds` holds images a second by resource.
    """

    throughput: float
    ceiling: float
    residence: float
    permits: float
    batch: float
    bounds: dict[str, float]

    @property
    def tightest(self) -> str:
        """The resource that binds."""
        return min(self.bounds, key=lambda name: self.bounds[name])


def capacity(demands: Demands, point: Point) -> Capacity:
    """Expect throughput and residence at `point`, in the light of what was measured."""
    return _capacity(demands, point, _residence_factor(demands))


def response_seconds(demands: Demands, capacity: Capacity) -> float:
    """Expected response time at the measured load, seconds.

    Residence plus the queue of the tightest resource, R = R0 + S rho / (1 - rho).
    """
    service = demands.images_per_request / capacity.ceiling
    load = min(0.98, demands.throughput / capacity.ceiling)
    permits = min(0.98, demands.throughput / max(capacity.throughput, 1e-9))
    full = max(load, permits)
    return capacity.residence + service * full / (1 - full)


def _capacity(demands: Demands, point: Point, factor: float) -> Capacity:
    batch = _batch(demands, point)
    bounds, residence = _bounds(demands, point, batch)
    residence *= factor
    ceiling: float = sum(bound**-10.0 for bound in bounds.values()) ** -0.1
    throughput = _closed(demands.images_per_request, ceiling, residence, point.permits)
    needed = ceiling * residence / demands.images_per_request
    return Capacity(throughput, ceiling, residence, needed, batch, bounds)


def _residence_factor(demands: Demands) -> float:
    """Fit the residence to the measured throughput where permits bind.

    There Little's law measures it; the stages' figures only say how it changes between points.
    Near the ceiling the throughput says nothing of the residence.
    """
    if not demands.permits_bind:
        return 1.0
    if demands.throughput > 0.9 * _capacity(demands, demands.at, 1.0).ceiling:
        return 1.0
    low, high = 0.5, 8.0
    for _ in range(30):
        middle = math.sqrt(low * high)
        if _capacity(demands, demands.at, middle).throughput > demands.throughput:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def _closed(images_per_request: float, ceiling: float, residence: float, permits: int) -> float:
    """Throughput with at most `permits` requests inside, images a second."""
    service = images_per_request / ceiling
    delay = max(residence - service, 0.0)
    asymptote = min(1 / service, permits / max(residence, service))
    queue = exact = 0.0
    for inside in range(1, permits + 1):
        response = service * (1 + queue)
        exact = inside / (response + delay)
        queue = exact * response
        if exact * service > 0.995:
            break
    return (0.75 * asymptote + 0.25 * exact) * images_per_request


def _bounds(demands: Demands, point: Point, batch: float) -> tuple[dict[str, float], float]:
    """Bounds by resource (images a second) and the residence of one request (seconds)."""
    cpu, gpu = _moved(demands, point)
    fixed, slope = _lane(demands)
    hold = fixed + slope * batch
    cpu, host = _spread_launches(demands, cpu, batch)
    decode, workers = _decode(demands, point)
    bounds = {
        "cpu": demands.cores * USABLE / max(cpu, 1e-9),
        "host": USABLE / max(host, 1e-9),
        "gpu": USABLE / gpu if gpu > 0 else _FREE,
        "copy": USABLE / demands.copy if demands.copy > 0 else _FREE,
        "decode": workers * USABLE / max(decode, 1e-9),
        "lanes": _lanes_at_work(demands, point.streams) * batch * USABLE / hold,
    }
    images = demands.images_per_request
    rounds = max(1.0, images / batch / point.streams)
    inside = images * decode / min(workers, images) + hold * (1 + 0.5 * (rounds - 1))
    return bounds, demands.fetch + inside + 0.5 * images * host + demands.serialise


def _spread_launches(demands: Demands, cpu: float, batch: float) -> tuple[float, float]:
    """Demands of CPU and host with the launch of a batch spread over another number of images.

    On a GPU the fixed part of the lane time is launch work of the host, about half of it with the
    interpreter lock; on a CPU it is CPU time. It cannot be more than a part of what was measured.
    """
    more = 1 / batch - 1 / demands.batch
    on_cpu, on_host = (0.7, 0.5) if demands.has_gpu else (1.0, 0.1)
    launch_cpu = min(on_cpu * demands.fixed, 0.5 * demands.cpu * demands.batch)
    launch_host = min(on_host * demands.fixed, 0.6 * demands.host * demands.batch)
    return max(cpu + launch_cpu * more, 0.1 * cpu), demands.host + launch_host * more


def _moved(demands: Demands, point: Point) -> tuple[float, float]:
    """Demands of CPU and GPU after decoding moved, or as measured."""
    gpu_decode = (demands.gpu_decode or 0.0) * _GPU_DECODE_ON_SMS
    if point.on_gpu and not demands.at.on_gpu:
        return max(demands.cpu - demands.decode, 0.05 * demands.cpu), demands.gpu + gpu_decode
    if demands.at.on_gpu and not point.on_gpu:
        return demands.cpu + demands.cpu_decode, max(demands.gpu - gpu_decode, 0.1 * demands.gpu)
    return demands.cpu, demands.gpu


def _decode(demands: Demands, point: Point) -> tuple[float, float]:
    """Seconds of decoding an image and how many are decoded at once."""
    if point.on_gpu:
        return demands.gpu_decode or demands.decode, 1.0
    if demands.at.on_gpu:
        return demands.cpu_decode, float(point.workers)
    return demands.decode, float(point.workers)


def _lanes_at_work(demands: Demands, streams: int) -> float:
    """Lanes that count, in lanes as they run now.

    On a CPU the lanes share the cores: no more of them than cores work, and each has fewer threads
    than before. Half of what its threads gained is then lost (a guess; trials tell).
    """
    if demands.has_gpu:
        return float(streams)
    cores = max(1.0, demands.cores)
    now, then = min(cores, demands.at.streams), min(cores, streams)
    return demands.at.streams * math.sqrt(then / now)


def _lane(demands: Demands) -> tuple[float, float]:
    """The lane's shape as it is now, fixed seconds and seconds an image.

    Warm-up's, stretched by the part of the contention that a full resource does not explain.
    """
    alone = demands.fixed + demands.slope * demands.batch
    stretch = min(20.0, max(0.7, demands.hold / alone))
    stretch **= 1.0 if demands.hardware < 0.85 else 0.35
    return demands.fixed * stretch, demands.slope * stretch


def _batch(demands: Demands, point: Point) -> float:
    """Images in one batch: as the law says, corrected by what it says of the measured point."""
    if point == demands.at:
        return demands.batch
    correction = min(1.25, max(0.5, demands.batch / _natural_batch(demands, demands.at)))
    most = max(1.0, 0.92 * demands.max_batch)
    return min(most, max(1.0, correction * _natural_batch(demands, point)))


def _natural_batch(demands: Demands, point: Point) -> float:
    """The batch grows until all that works on batches keeps up with what is supplied.

    Launches count as work on batches: while they wait for the CPU or the interpreter lock, decoded
    images pile up, and the next batch is larger.
    """
    images = demands.images_per_request
    most = max(1.0, min(0.92 * demands.max_batch, 0.8 * point.permits * images / point.streams))
    least = min(most, max(1.0, min(demands.batch, images) / 4))
    largest, residence = _bounds(demands, point, most)
    supply = min(
        largest["decode"], largest["cpu"], largest["host"], largest["copy"],
        point.permits * images / residence,
    )  # fmt: skip
    batch = least
    for index in range(9):
        batch = least * (most / least) ** (index / 8)
        bounds, _ = _bounds(demands, point, batch)
        keeps_up = min(bounds["lanes"], bounds["gpu"], bounds["host"], bounds["cpu"])
        if 0.97 * keeps_up >= 0.95 * supply:
            break
    return batch
