"""Busy time of one GPU from the durations that its lanes measured: what overlaps counts once."""

from embedding_service.engine.busy_union import BusyUnion
from embedding_service.engine.lane import LaneResult
from embedding_service.metrics import Instruments


class GpuTime:
    """A GPU has one engine for each direction of copies beside the one that computes."""

    def __init__(self) -> None:
        self._compute, self._copy_in, self._copy_out = BusyUnion(), BusyUnion(), BusyUnion()

    def count(self, result: LaneResult, now: float, instruments: Instruments) -> None:
        """Lay the device's own durations end to end before `now`, time.monotonic()."""
        computed = now - result.copy_out_seconds
        copied = computed - result.compute_seconds
        copies = self._copy_out.add(computed, now)
        copies += self._copy_in.add(copied - result.copy_in_seconds, copied)
        instruments.copy_busy(copies)
        instruments.gpu_busy(self._compute.add(copied, computed))

    def ratio(self) -> float:
        """Return the share of time since the last call in which a kernel ran, 0 to 1."""
        return self._compute.ratio()
