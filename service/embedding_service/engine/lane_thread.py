"""A lane's thread: take a batch, compute it, hand the vectors back; retire between batches.

A batch that fails fails its jobs, never the thread. Python is touched once for each batch.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from embedding_service.engine.batcher import Batcher
from embedding_service.engine.job import Item, Job, wake
from embedding_service.engine.lane import Lane, LaneResult
from embedding_service.engine.slots import SlotRing
from embedding_service.errors import ServerFault

_log = logging.getLogger(__name__)

MAX_FAILURES = 3
"""A lane that fails this many batches in a row is broken; liveness says so."""

Report = Callable[[Sequence[Item], LaneResult, float, float], None]
"""Called after each batch with items, result, busy seconds, seconds with the interpreter lock."""


class LaneThread:
    """Runs one `Lane` in a thread of its own."""

    def __init__(
        self, name: str, lane: Lane, batcher: Batcher, ring: SlotRing, report: Report
    ) -> None:
        self.name = name
        self.lane = lane
        self._batcher = batcher
        self._ring = ring
        self._report = report
        self._share = 1
        self._retired = False
        self._busy_since: float | None = None
        self._failures = 0
        self._ready = threading.Event()
        self._start_error: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, share: int, prove: Callable[[Lane], None] = lambda lane: None) -> None:
        """Start the thread, wait until the lane is warm; `prove` runs there before any work."""
        self._share = share
        self._thread = threading.Thread(
            target=self._main, args=(prove,), name=self.name, daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._start_error is not None:
            raise ServerFault(f"{self.name} could not start") from self._start_error

    def share(self, threads: int) -> None:
        """Use at most this many CPU threads from the next batch on."""
        self._share = threads

    def retire(self) -> None:
        """End after the batch in hand."""
        self._retired = True
        self._batcher.wake()

    def join(self, timeout_seconds: float) -> None:
        """Wait until the thread has ended, at most this long."""
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def problem(self, now: float, limit_seconds: float) -> str | None:
        """Return why this lane is not alive, or None. `now` is time.monotonic()."""
        since = self._busy_since
        if since is not None and now - since > limit_seconds:
            return f"{self.name} has been on one batch for {now - since:.0f} s"
        if self._failures >= MAX_FAILURES:
            return f"{self.name} failed its last {self._failures} batches"
        if self._thread is not None and not self._thread.is_alive() and not self._retired:
            return f"{self.name} has ended"
        return None

    def _main(self, prove: Callable[[Lane], None]) -> None:
        try:
            self.lane.start()
            self.lane.share(self._share)
            prove(self.lane)
        except Exception as error:  # noqa: BLE001 - start() raises it in the caller's thread
            self._start_error = error
            return
        finally:
            self._ready.set()
        while items := self._batcher.take(lambda: self._retired):
            self._busy_since = time.monotonic()
            self.lane.share(self._share)
            self._compute(items)
            self._busy_since = None
            self._batcher.finished()

    def _compute(self, batch: list[Item]) -> None:
        wall, processor = time.monotonic(), time.thread_time()
        held = [item.slot for item in batch]

        def copied() -> None:
            slots, held[:] = held[:], []
            self._ring.release(slots)

        try:
            result = self.lane.run(tuple(held), copied)
        except Exception:  # noqa: BLE001 - the lane outlives a bad batch; its jobs hear of it
            _log.exception("%s could not compute a batch of %d images", self.name, len(batch))
            self._failures += 1
            fault = ServerFault("the model failed on a batch; try again")
            wake([job for job in {item.job for item in batch} if job.fail(fault)])
            return
        finally:
            copied()
        self._failures = 0
        finished = _hand_back(batch, result)
        locked = max(0.0, time.thread_time() - processor - result.unlocked_seconds)
        self._report(batch, result, time.monotonic() - wall, locked)
        wake(finished)  # last: whoever reads the metrics after an answer finds its batch there


def _hand_back(batch: list[Item], result: LaneResult) -> list[Job]:
    """Give each job its rows; return the jobs that are complete."""
    rows: dict[Job, tuple[list[int], list[int]]] = {}
    for row, item in enumerate(batch):
        indices, positions = rows.setdefault(item.job, ([], []))
        indices.append(item.index)
        positions.append(row)
    return [
        job
        for job, (indices, positions) in rows.items()
        if job.accept(indices, result.vectors[np.asarray(positions)])
    ]
