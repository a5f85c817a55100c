"""The hard rules. No prediction and no gain overrules them; the planner and the trial both ask.

1. Nothing leaves the user's bounds. 2. With the CPU at 90 % no lane is added, unless the same move
takes decoding to the GPU (in 89 of 89 simulated cases an added lane was waste there). 3. Nothing
goes into memory that warm-up says is not there.
"""

from dataclasses import dataclass
from typing import Final

from embedding_operator.api.tuning import TuningBounds
from embedding_operator.tuning.point import Point
from embedding_operator.tuning.sample import Sample

CPU_FULL: Final = 0.90
MEMORY_USABLE: Final = 0.90
HOST_MEMORY_USABLE: Final = 0.50
"""Share of the container's memory that permits may fill: weights and caches live there too."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one pool now. `host_memory_bytes` is the container's limit, if it has one."""

    bounds: TuningBounds
    sample: Sample
    at: Point
    host_memory_bytes: float | None = None

    def refuse(self, to: Point) -> str | None:
        """Return None when the move is allowed, else the rule that forbids it."""
        if not self._inside(to):
            return "it leaves spec.tuning.bounds"
        if self._adds_lanes_for_nothing(to):
            return "the CPU is full: another lane would only wait for it"
        if not self._fits(to):
            return "its memory is not there"
        return None

    def _inside(self, to: Point) -> bool:
        bounds = self.bounds
        workers = to.workers == self.at.workers or bounds.decode_workers.holds(to.workers)
        return (
            bounds.num_streams.holds(to.streams)
            and bounds.semaphore_size.holds(to.permits)
            and workers
        )

    def _adds_lanes_for_nothing(self, to: Point) -> bool:
        full = (self.sample.share("cpu") or 0.0) >= CPU_FULL
        moves_decoding = to.on_gpu and not self.at.on_gpu
        return full and to.streams > self.at.streams and not moves_decoding

    def _fits(self, to: Point) -> bool:
        used, total = self.sample.get("gpu_memory_used"), self.sample.get("gpu_memory_total")
        more = to.streams - self.at.streams
        if more > 0 and used is not None and total:
            lane = self.sample.get("warmup_lane_bytes") or 0.0
            if used + more * lane > MEMORY_USABLE * total:
                return False
        permit = self.sample.get("warmup_permit_bytes") or 0.0
        grows = to.permits > self.at.permits
        if grows and permit > 0 and self.host_memory_bytes:
            return to.permits * permit <= HOST_MEMORY_USABLE * self.host_memory_bytes
        return True
