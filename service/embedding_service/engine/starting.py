"""The setting to start with, worked out from what the warm-up measured. Pure.

With k images a request (TYPICAL_REQUEST_IMAGES), a lane alone computes L = B / h(B) images a second
at its largest batch B, and C cores decode S = C / d images a second, d the decode time of one.

Lanes. On a CPU one: the lanes would share its cores. On a GPU one while the decoders cannot fill
half of a lane (S <= L / 2), else two, so that one copies and answers while the other computes; more
is left to trials. Each lane's memory must fit into what is free.

Permits, by Little's law N = X R / k (Little 1961). X is what the server can carry: on a GPU
min(S, L), on a CPU C / (d + C h(B) / B), because decoding and computing share the cores. R is the
residence of one request alone: k d / min(W, k) for its decoding by W workers, and the batches that
hold it, ceil(k / B) h(min(k, B)). One permit more for each lane keeps a decoded request waiting
where one is computed. They may take a quarter of the memory.

Decode workers: the cores, rounded up; decoding holds no interpreter lock.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from embedding_contract import tuning
from embedding_contract.tuning import Setting
from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES

PERMITS_SHARE: Final = 0.25
"""Of the container's memory; the rest is the model, the ring and the decoders."""

ABOUT_AS_GOOD: Final = 1.03
"""Costs this close to the least are the same: measurements of a few passes differ as much."""

_LEAST_SECONDS: Final = 1e-9


@dataclass(frozen=True, slots=True)
class WarmupTables:
    """What was measured before the first request.

    `lane_seconds` by batch size, `decode_seconds` of one full-HD JPEG on one thread, memory in
    bytes that a lane (of the device) and a permit (of the host) add; `free_bytes` is what the GPU
    has left, None on a CPU.
    """

    lane_seconds: Mapping[int, float]
    decode_seconds: float
    lane_bytes: float = 0.0
    permit_bytes: float = 0.0
    free_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The tables and the setting that follows from them."""

    tables: WarmupTables
    suggested: Setting


def best_batch(lane_seconds: Mapping[int, float]) -> int:
    """Return the batch size at which an image costs least, the largest of those about as good.

    On a GPU that is the largest. On a CPU a batch can outgrow the caches: ViT-B/32 in fp32 took
    36 ms an image by sixteens and 42 by 32 on one core.

    Args:
        lane_seconds: seconds of a whole batch by its size, one size at least.
    """
    costs = {size: seconds / size for size, seconds in lane_seconds.items()}
    bound = min(costs.values()) * ABOUT_AS_GOOD
    return max(size for size, cost in costs.items() if cost <= bound)


def starting_setting(tables: WarmupTables, cores: float, memory_bytes: float | None) -> Setting:
    """Return the suggestion, inside the bounds of the tuning file.

    Args:
        tables: the warm-up's figures; at least one batch size.
        cores: cores that the container may use.
        memory_bytes: memory that it may use, None when it is not known.
    """
    workers = _clamp(math.ceil(cores), 1, tuning.MAX_DECODE_WORKERS)
    lanes = _lanes(tables, cores)
    permits = _permits(tables, cores, workers) + lanes
    if memory_bytes is not None:
        permits = min(permits, _fitting(PERMITS_SHARE * memory_bytes, tables.permit_bytes))
    return Setting(
        num_streams=lanes,
        semaphore_size=_clamp(permits, tuning.MIN_SEMAPHORE, tuning.MAX_SEMAPHORE),
        decode_workers=workers,
        decode_device="cpu",
    )


def _lanes(tables: WarmupTables, cores: float) -> int:
    if tables.free_bytes is None:
        return 1
    _, lane_rate = _lane(tables)
    wanted = 1 if _decode_rate(tables, cores) <= lane_rate / 2 else 2
    # The first lane is in place already.
    wanted = min(wanted, 1 + _fitting(tables.free_bytes, tables.lane_bytes))
    return _clamp(wanted, tuning.MIN_STREAMS, tuning.MAX_STREAMS)


def _permits(tables: WarmupTables, cores: float, workers: int) -> int:
    images = TYPICAL_REQUEST_IMAGES
    batch, lane_rate = _lane(tables)
    decode_rate = _decode_rate(tables, cores)
    if tables.free_bytes is None:
        carried = 1 / (1 / decode_rate + 1 / lane_rate)
    else:
        carried = min(decode_rate, lane_rate)
    decoding = images * tables.decode_seconds / min(workers, images)
    computing = math.ceil(images / batch) * min(images, batch) / lane_rate
    return min(tuning.MAX_SEMAPHORE, math.ceil(carried * (decoding + computing) / images))


def _lane(tables: WarmupTables) -> tuple[int, float]:
    """Return the largest batch and the images a second of a lane that computes only such."""
    batch = max(tables.lane_seconds)
    return batch, batch / max(tables.lane_seconds[batch], _LEAST_SECONDS)


def _decode_rate(tables: WarmupTables, cores: float) -> float:
    return max(cores, 0.01) / max(tables.decode_seconds, _LEAST_SECONDS)


def _fitting(free_bytes: float, bytes_each: float) -> int:
    """Return how many fit. What takes less than a byte was not measured, and fits."""
    return int(max(0.0, free_bytes) / max(bytes_each, 1.0)) if bytes_each else tuning.MAX_SEMAPHORE


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
