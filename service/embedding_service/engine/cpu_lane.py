"""A lane on the CPU: the same path as on a GPU, with torch's threads shared among the lanes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from embedding_service.engine.encoder import Encoder
from embedding_service.engine.lane import LaneResult
from embedding_service.engine.slots import SlotRing, runs


class CpuLane:
    """Satisfies `Lane`."""

    def __init__(self, encoder: Encoder, ring: SlotRing) -> None:
        self._encoder = encoder
        self._pixels = torch.from_numpy(ring.pixels)
        self._threads = 0
        self._resident_before = 0

    def start(self) -> None:
        """Remember the memory in use; the first batches show what this lane adds."""
        self._resident_before = _resident_bytes()

    def share(self, threads: int) -> None:
        """Use at most this many threads. torch keeps the number for each calling thread."""
        if threads != self._threads:
            torch.set_num_threads(threads)
            self._threads = threads

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        """Compute one batch on this thread and torch's helpers of it."""
        started = time.perf_counter()
        pixels, lent = self._batch(slots)
        if not lent:
            copied()
        computing, processor = time.perf_counter(), time.thread_time()
        with torch.inference_mode():
            vectors = self._encoder.encode_pixels(pixels)
        if lent:
            copied()
        unlocked = time.thread_time() - processor
        done = time.perf_counter()
        result = np.array(vectors.numpy(), np.float32)
        return LaneResult(
            result, computing - started, done - computing, time.perf_counter() - done, unlocked
        )

    def _batch(self, slots: Sequence[int]) -> tuple[torch.Tensor, bool]:
        """Return uint8 [batch, H, W, 3], and whether it still lies in its slots."""
        pieces = runs(slots)
        if len(pieces) > 1:
            return self._pixels[list(slots)], False
        _, first, count = pieces[0]
        return self._pixels[first : first + count], True

    def memory_bytes(self) -> int:
        """Return how much this process grew since the lane started; on a CPU a first guess."""
        return max(0, _resident_bytes() - self._resident_before)


def _resident_bytes() -> int:
    """Return this process's resident memory, 0 where the kernel does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * 4096
