"""A lane on a device that does not exist: a stated cost model, for tests of everything around it.

A batch of b images takes h0 + h1 x b seconds. A vector depends on the pixels of its slot alone.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from embedding_service.engine.lane import LaneResult
from embedding_service.engine.slots import SlotRing


class SimulatedLane:
    """Satisfies `Lane`. `wait` passes the time (an Event's wait by default)."""

    def __init__(
        self,
        ring: SlotRing,
        dimensions: int,
        h0_seconds: float = 0.0,
        h1_seconds: float = 0.0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._ring = ring
        self._dimensions = dimensions
        self._h0 = h0_seconds
        self._h1 = h1_seconds
        self._wait = wait or threading.Event().wait
        self.threads = 0

    def start(self) -> None:
        """Nothing to prepare."""

    def share(self, threads: int) -> None:
        """Remember the share, for tests."""
        self.threads = threads

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        """Wait as long as the cost model says; give each picture its own vector."""
        vectors = simulated_vectors(self._ring.pixels[list(slots)], self._dimensions)
        copied()
        seconds = self._h0 + self._h1 * len(slots)
        if seconds:
            self._wait(seconds)
        return LaneResult(vectors, 0.0, seconds, 0.0, 0.0)

    def memory_bytes(self) -> int:
        """It has no memory."""
        return 0


def simulated_vectors(pixels: npt.NDArray[np.uint8], dimensions: int) -> npt.NDArray[np.float32]:
    """Return unit vectors float32 [batch, dimensions] of pixels [batch, H, W, 3]."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    spread = np.resize(np.arange(1, 98, dtype=np.float32), flat.shape[1])
    means = flat @ spread / spread.sum()
    angles = means[:, None] * np.linspace(0.1, 1.0, dimensions, dtype=np.float32)
    raw = np.cos(angles) + np.float32(1e-3)
    unit: npt.NDArray[np.float32] = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return unit
