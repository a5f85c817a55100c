"""Warm-up: measure on this very machine what the tuner predicts from, before the first request.

Lane seconds at two batch sizes give the law h(b) = h0 + h1 x b; a made photograph gives the decode
seconds of an image and the memory of a typical request.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import simplejpeg

from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Profile
from embedding_service.imaging.resample import Pixels, Resample

SAMPLE_WIDTH, SAMPLE_HEIGHT = 1920, 1080
_REPEATS: Final = 3


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


def permit_bytes(encoded: bytes, dimensions: int) -> float:
    """Return the host memory of one typical request: its encoded images and its vectors."""
    return float(TYPICAL_REQUEST_IMAGES * (len(encoded) + 4 * dimensions))


def _timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started
