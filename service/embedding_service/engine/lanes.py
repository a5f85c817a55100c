"""The lanes in force: started, resized and, when one breaks, replaced."""

import logging
import threading
import time
from collections.abc import Callable

from embedding_service.engine.batcher import Batcher
from embedding_service.engine.lane import Lane
from embedding_service.engine.lane_thread import LaneThread, Prove, Report
from embedding_service.engine.replacements import Replacements
from embedding_service.engine.sharing import Sharing
from embedding_service.engine.slots import SlotRing
from embedding_service.errors import ServerFault

_log = logging.getLogger(__name__)


class Lanes:
    """`resize` blocks while a new lane warms up; `problem` never blocks."""

    def __init__(
        self,
        make_lane: Callable[[], Lane],
        batcher: Batcher,
        ring: SlotRing,
        sharing: Sharing,
        *,
        report: Report,
        replaced: Callable[[], None],
        threads: Callable[[], int],
    ) -> None:
        """Make no lane yet.

        `threads` says before each batch how many CPU threads a lane may use; `replaced` hears of
        each lane that was put in the place of a broken one.
        """
        self._make_lane = make_lane
        self._batcher = batcher
        self._ring = ring
        self._sharing = sharing
        self._report = report
        self._replaced = replaced
        self._lane_threads = threads
        self._change = threading.Lock()
        self._closing = threading.Event()
        self._replacements = Replacements()
        self._threads: list[LaneThread] = []

    @property
    def threads(self) -> list[LaneThread]:
        """The lanes in force now."""
        return list(self._threads)

    def start_first(self, prove: Prove) -> LaneThread:
        """Start the first lane; `prove` runs in its thread before any work.

        Raises:
            ServerFault: it could not start.
        """
        with self._change:
            lane = self._start("lane-0", prove)
            self._threads.append(lane)
            return lane

    def resize(self, count: int) -> None:
        """Add warm lanes, or retire the last ones once their batch is done.

        Raises:
            ServerFault: a new lane could not start; the lanes started so far stay.
        """
        with self._change:
            while len(self._threads) < count:
                self._threads.append(self._start(f"lane-{len(self._threads)}"))
            retired = self._threads[count:]
            del self._threads[count:]
        for lane in retired:
            lane.retire()

    def problem(self, now: float, limit_seconds: float) -> str | None:
        """Return why the lanes make no progress, or None. `now` is time.monotonic()."""
        for lane in self.threads:
            problem = lane.problem(now, limit_seconds)
            if problem is not None:
                return problem
        return self._replacements.problem(now)

    def close(self, timeout_seconds: float) -> None:
        """Wait for every lane, each at most this long. The batcher must be closed before."""
        self._closing.set()
        for lane in self.threads:
            lane.join(timeout_seconds)

    def _start(self, name: str, *prove: Prove) -> LaneThread:
        lane = LaneThread(
            name,
            self._make_lane,
            batcher=self._batcher,
            ring=self._ring,
            sharing=self._sharing,
            report=self._report,
            threads=self._lane_threads,
            broken=self._replace,
        )
        lane.start(*prove)
        return lane

    def _replace(self, old: LaneThread, reason: str) -> None:
        """Runs in the broken lane's own thread: put a fresh lane in its place, sooner or later."""
        while True:
            now = time.monotonic()
            pause = self._replacements.pause(now)
            self._replacements.note(now, reason)
            if self._closing.wait(pause) or self._put_in_place_of(old):
                return

    def _put_in_place_of(self, old: LaneThread) -> bool:
        """Return whether nothing is left to do: a fresh lane runs, or `old` was retired."""
        with self._change:
            if old not in self._threads:
                return True
            try:
                fresh = self._start(old.name)
            except ServerFault as error:
                _log.exception("%s could not be replaced", old.name, exc_info=error.__cause__)
                return False
            self._threads[self._threads.index(old)] = fresh
        _log.warning("%s broke and was replaced", old.name)
        self._replaced()
        return True
