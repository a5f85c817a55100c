"""A lane's thread: take a batch, compute it, hand the vectors back; retire between batches.

A batch that fails fails its jobs and ends the thread: what broke the lane may have left it in any
state, so `lanes` puts a fresh one in its place. Python is touched once for each batch.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from embedding_service.engine.batcher import Batcher
from embedding_service.engine.job import Item, Job, wake
from embedding_service.engine.lane import Lane, LaneResult, OutOfDeviceMemory
from embedding_service.engine.sharing import Sharing
from embedding_service.engine.slots import SlotRing
from embedding_service.errors import ServerFault

_log = logging.getLogger(__name__)

Report = Callable[[Sequence[Item], LaneResult, float, float], None]
"""Called after each batch with items, result, busy seconds, seconds with the interpreter lock."""


Prove = Callable[[Lane], None]
"""Runs in a lane's thread once it is warm: measures it, or looks whether its vectors are right."""


def _nothing_to_prove(lane: Lane) -> None:
    """A lane that is added later does what the first one did."""


class LaneThread:
    """Runs one `Lane` in a thread of its own."""

    def __init__(
        self,
        name: str,
        make_lane: Callable[[], Lane],
        *,
        batcher: Batcher,
        ring: SlotRing,
        sharing: Sharing,
        report: Report,
        threads: Callable[[], int],
        broken: Callable[["LaneThread", str], None],
    ) -> None:
        """Make the thread; `start` starts it.

        `threads` says before each batch how many CPU threads it may use. `broken(this, why)` runs
        in this thread, as its last act, after a batch failed.
        """
        self.name = name
        self.memory_bytes = 0
        """Memory that the lane added, as far as it can be measured."""
        self._make_lane = make_lane
        self._batcher = batcher
        self._ring = ring
        self._sharing = sharing
        self._report = report
        self._broken = broken
        self._threads = threads
        self._retired = False
        self._doing: tuple[str, float] | None = None
        """What this thread is on, and since when."""
        self._ready = threading.Event()
        self._start_error: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, prove: Prove = _nothing_to_prove) -> None:
        """Start the thread, wait until the lane is warm; `prove` runs there before any work."""
        self._thread = threading.Thread(
            target=self._main, args=(prove,), name=self.name, daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._start_error is not None:
            raise ServerFault(f"{self.name} could not start") from self._start_error

    def retire(self) -> None:
        """End after the batch in hand."""
        self._retired = True
        self._batcher.wake()

    def join(self, timeout_seconds: float) -> None:
        """Wait until the thread has ended, at most this long."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_seconds)

    def problem(self, now: float, limit_seconds: float) -> str | None:
        """Return why this lane is not alive, or None. `now` is time.monotonic()."""
        doing = self._doing
        if doing is not None and now - doing[1] > limit_seconds:
            return f"{self.name} has been on {doing[0]} for {now - doing[1]:.0f} s"
        if self._thread is not None and not self._thread.is_alive() and not self._retired:
            return f"{self.name} has ended"
        return None

    def _main(self, prove: Prove) -> None:
        reason = self._live(prove)
        if reason is not None:  # the lane itself is gone by now, and its memory with it
            self._doing = ("its replacement", time.monotonic())
            self._broken(self, reason)

    def _live(self, prove: Prove) -> str | None:
        """Start, serve until retired; return why the lane broke, None when it did not."""
        try:
            lane = self._make_lane()
            lane.start()
            lane.share(self._threads())
            prove(lane)
            self.memory_bytes = lane.memory_bytes()
        except Exception as error:  # noqa: BLE001 - start() raises it in the caller's thread
            self._start_error = error
            return None
        finally:
            self._ready.set()
        reason = None
        while reason is None and (items := self._batcher.take(lambda: self._retired)):
            self._doing = ("one batch", time.monotonic())
            lane.share(self._threads())
            reason = self._compute(lane, items)
            self._doing = None
            self._batcher.finished()
        return reason

    def _compute(self, lane: Lane, batch: list[Item]) -> str | None:
        """Compute one batch, in halves where the device lacks memory; return why it failed."""
        try:
            self._attempt(lane, batch)
        except OutOfDeviceMemory as error:
            if len(batch) == 1 or not all(item.slot >= 0 for item in batch):
                return self._fail(batch, error)
            _log.warning("%s has no memory for %d images, halving", self.name, len(batch))
            middle = (len(batch) + 1) // 2
            first = self._last_attempt(lane, batch[:middle])
            return self._last_attempt(lane, batch[middle:]) or first
        except Exception as error:  # noqa: BLE001 - its jobs and `lanes` hear of it
            return self._fail(batch, error)
        return None

    def _last_attempt(self, lane: Lane, batch: list[Item]) -> str | None:
        try:
            self._attempt(lane, batch)
        except Exception as error:  # noqa: BLE001 - its jobs and `lanes` hear of it
            return self._fail(batch, error)
        return None

    def _attempt(self, lane: Lane, batch: list[Item]) -> None:
        wall, processor = time.monotonic(), time.thread_time()
        slots = tuple(item.slot for item in batch)
        result = lane.run(slots, lambda: self._free(batch))
        self._free(batch)
        finished = self._hand_back(batch, result)
        locked = max(0.0, time.thread_time() - processor - result.unlocked_seconds)
        self._report(batch, result, time.monotonic() - wall, locked)
        wake(finished)  # last: whoever reads the metrics after an answer finds its batch there

    def _free(self, batch: list[Item]) -> None:
        """Give the batch's slots back, once."""
        slots = [item.slot for item in batch if item.slot >= 0]
        for item in batch:
            item.slot = -1
        self._ring.release(slots)

    def _fail(self, batch: list[Item], error: Exception) -> str:
        """Fail everybody who waits for this batch; return the reason in one line."""
        _log.error(
            "%s could not compute a batch of %d images", self.name, len(batch), exc_info=error
        )
        self._free(batch)
        fault = ServerFault("the model failed on a batch; try again")
        hit = {job for item in batch for job, _ in self._sharing.finish(item, None)}
        wake([job for job in hit if job.fail(fault)])
        return f"{self.name}: {type(error).__name__}"

    def _hand_back(self, batch: list[Item], result: LaneResult) -> list[Job]:
        """Give each job its rows; return the jobs that are complete."""
        rows: dict[Job, tuple[list[int], list[int]]] = {}
        for row, item in enumerate(batch):
            for job, index in self._sharing.finish(item, result.vectors[row]):
                indices, positions = rows.setdefault(job, ([], []))
                indices.append(index)
                positions.append(row)
        return [
            job
            for job, (indices, positions) in rows.items()
            if job.accept(indices, result.vectors[np.asarray(positions)])
        ]
