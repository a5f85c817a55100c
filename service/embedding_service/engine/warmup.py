"""Warm-up: measure on this very machine what the tuner predicts from, before the first request.

Lane seconds by batch size give the law h(b) = h0 + h1 x b (the ends decide it, the sizes between
show where it bends); a made photograph gives the decode seconds of an image and the memory of a
typical request.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import simplejpeg

from embedding_service.engine.lane import Lane
from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES
from embedding_service.engine.parity import Vectors
from embedding_service.engine.slots import SlotRing
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Profile
from embedding_service.imaging.resample import Pixels, Resample

SAMPLE_WIDTH, SAMPLE_HEIGHT = 1920, 1080
_REPEATS: Final = 3
LANE_BUDGET_SECONDS: Final = 1.5
"""Time for batch sizes between the ends: those that no longer fit are left out."""

SLOW_SECONDS: Final = 0.3
"""A batch that takes this long is timed once: what its first run warms up is small beside it."""


@functools.cache
def sample_jpeg() -> bytes:
    """Return a full-HD JPEG that costs about what a photograph costs (some 400 KB, quality 90)."""
    rows = np.linspace(0.0, 1.0, SAMPLE_HEIGHT, dtype=np.float32)[:, None, None]
    columns = np.linspace(0.0, 1.0, SAMPLE_WIDTH, dtype=np.float32)[None, :, None]
    colours = np.array([3.0, 5.0, 7.0], dtype=np.float32)
    waves = np.sin(40 * colours * rows * columns) + np.sin(11 * colours * (rows - columns))
    grain = np.random.default_rng(0).normal(0.0, 7.0, (SAMPLE_HEIGHT, SAMPLE_WIDTH, 1))
    pixels = np.clip(128 + 50 * waves + grain, 0, 255).astype(np.uint8)
    encoded: bytes = simplejpeg.encode_jpeg(pixels, 90, colorsubsampling="420")
    return encoded


def decode_seconds(make: Callable[[bytes], Pixels], encoded: bytes) -> float:
    """Return the best time of `make` (bytes to the model's pixels) on one image."""
    make(encoded)
    return min(_timed(lambda: make(encoded), time.perf_counter) for _ in range(_REPEATS))


def glue_seconds(profile: Profile, resample: Resample) -> float:
    """Return thread CPU seconds of the Python around the decoders, for one image.

    A picture of 16 x 16 pixels made into 8 x 8 costs next to nothing but that. It stands for the
    time with the interpreter lock: inside the libraries the two cannot be told apart.
    """
    encoded = simplejpeg.encode_jpeg(np.zeros((16, 16, 3), np.uint8), 90)
    small = replace(profile, size=(8, 8))
    prepare(encoded, small, 256, resample)
    times = [
        _timed(lambda: prepare(encoded, small, 256, resample), time.thread_time)
        for _ in range(_REPEATS)
    ]
    return min(times)


def batch_sizes(max_batch: int) -> list[int]:
    """Return the sizes to measure: powers of two and the largest batch itself."""
    powers = {2**power for power in range(max_batch.bit_length())}
    return sorted({size for size in powers if size < max_batch} | {max_batch})


def lane_table(
    run: Callable[[int], float], max_batch: int, budget_seconds: float = LANE_BUDGET_SECONDS
) -> dict[int, float]:
    """Return lane seconds by batch size, sorted.

    The ends are always measured, the sizes between from small to large while the budget lasts.

    Args:
        run: computes one batch of this size and returns its seconds.
        max_batch: the largest size.
        budget_seconds: for everything but the ends.
    """
    found = {1: _lane_seconds(run, 1)}
    if max_batch > 1:
        found[max_batch] = _lane_seconds(run, max_batch)
    left = budget_seconds
    for size in batch_sizes(max_batch)[1:-1]:
        expected = found[1] + (found[max_batch] - found[1]) * (size - 1) / (max_batch - 1)
        left -= expected * (1 if expected > SLOW_SECONDS else 1 + _REPEATS)
        if left < 0:
            break
        found[size] = _lane_seconds(run, size)
    return dict(sorted(found.items()))


def _lane_seconds(run: Callable[[int], float], size: int) -> float:
    first = run(size)
    if size > 1 and first > SLOW_SECONDS:
        return first
    return min(run(size) for _ in range(_REPEATS))


def run_lane(lane: Lane, ring: SlotRing) -> Callable[[int], float]:
    """Return what `lane_table` needs of a real lane; use it in the lane's own thread."""

    def run(size: int) -> float:
        slots = [ring.acquire() for _ in range(size)]
        try:
            return _timed(lambda: lane.run(slots, lambda: None), time.perf_counter)
        finally:
            ring.release(slots)

    return run


def through_lane(lane: Lane, ring: SlotRing, pixels: Sequence[Pixels], max_batch: int) -> Vectors:
    """Return vectors float32 [pictures, dimensions] of pictures that go through slots and lane."""
    return np.concatenate([_one_batch(lane, ring, batch) for batch in _batches(pixels, max_batch)])


def _batches(pixels: Sequence[Pixels], most: int) -> Iterator[Sequence[Pixels]]:
    for start in range(0, len(pixels), most):
        yield pixels[start : start + most]


def _one_batch(lane: Lane, ring: SlotRing, pixels: Sequence[Pixels]) -> Vectors:
    slots = [ring.acquire() for _ in pixels]
    try:
        for slot, picture in zip(slots, pixels, strict=True):
            ring.pixels[slot] = picture
        return lane.run(slots, lambda: None).vectors
    finally:
        ring.release(slots)


def permit_bytes(encoded: bytes, dimensions: int) -> float:
    """Return the host memory of one typical request: its encoded images and its vectors."""
    return float(TYPICAL_REQUEST_IMAGES * (len(encoded) + 4 * dimensions))


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started
