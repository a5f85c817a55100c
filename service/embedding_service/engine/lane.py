"""A lane: what computes one batch at a time. CUDA, CPU and simulated lanes satisfy one protocol.

Nothing else in the engine knows which one runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class LaneResult:
    """One computed batch.

    `vectors` is float32 [batch, dimensions], unit length, owned by the caller. Seconds are of the
    device's own clock where it has one. `unlocked_seconds` is thread CPU time that ran without
    the interpreter lock.
    """

    vectors: npt.NDArray[np.float32]
    copy_in_seconds: float
    compute_seconds: float
    copy_out_seconds: float
    unlocked_seconds: float


class OutOfDeviceMemory(Exception):
    """The device had no memory for this batch; a smaller one may fit. The lane itself is sound."""


class Lane(Protocol):
    """Device work. Every method is called in the lane's own thread only."""

    def start(self) -> None:
        """Make streams and buffers, warm up."""
        ...

    def share(self, threads: int) -> None:
        """Use at most this many CPU threads from the next batch on."""
        ...

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        """Compute the batch that lies in `slots`; call `copied` once they may be written again.

        Raises:
            OutOfDeviceMemory: before `copied` was called; half the batch is tried then.
        """
        ...

    def memory_bytes(self) -> int:
        """Return the memory that this lane added, as far as it can be measured."""
        ...
