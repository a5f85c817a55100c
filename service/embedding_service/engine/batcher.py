"""The batcher: decoded images of all requests wait here; a free lane takes what is ready.

Live images come first, see `lines`. Waiting for company must not leave the device idle: a GPU lane
waits a few hundred microseconds, and only while another lane keeps the GPU busy; a CPU lane waits
only while every core decodes, see `cpu_share`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from embedding_service.engine.job import Item, everybody_gone
from embedding_service.engine.lines import TwoLines

PATIENCE_SECONDS: Final = 0.05
"""Longest wait for company on a CPU. Images that cannot be read never arrive, and tell nobody."""


def _no_company(ready: int, live: bool) -> bool:
    return False


class Batcher:
    """Two lines of items, live and bulk, with one taker per lane. Slots bound their length."""

    def __init__(
        self,
        limit: int,
        dropped: Callable[[Sequence[int]], None],
        *,
        linger_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        abandoned: Callable[[Item, float], bool] = everybody_gone,
        wants_company: Callable[[int, bool], bool] = _no_company,
    ) -> None:
        """Take at most `limit` items a batch; `dropped` gets the slots of abandoned ones.

        `abandoned(item, now)` says whether nobody waits for an image any more;
        `wants_company(ready, live)` whether a lane should wait for a larger batch.
        """
        self._limit = limit
        self._dropped = dropped
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._abandoned = abandoned
        self._wants_company = wants_company
        self._ready: TwoLines[Item] = TwoLines()
        self._change = threading.Condition()
        self._busy_lanes = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Items that are ready and not taken."""
        return len(self._ready)

    def limit(self, images: int) -> None:
        """Take at most so many images a batch from now on."""
        with self._change:
            self._limit = images

    def put(self, item: Item) -> None:
        """Add one decoded image; one that nobody wants any more only gives its slot back."""
        with self._change:
            if self._abandoned(item, time.monotonic()):
                self._dropped([item.slot])
                return
            self._ready.push(item, item.priority)
            self._change.notify()

    def sweep(self) -> None:
        """Drop what nobody waits for any more, so that its slots come back at once."""
        with self._change:
            now = time.monotonic()
            gone = self._ready.sweep(lambda item: self._abandoned(item, now))
            if gone:
                self._dropped([item.slot for item in gone])

    def take(self, retired: Callable[[], bool]) -> list[Item]:
        """Wait for work and take up to the limit; an empty list means: stop.

        A lane that took a batch must call `finished` once it is done with it.
        """
        with self._change:
            while True:
                self._change.wait_for(lambda: self._ready or self._closed or retired())
                if retired() or (self._closed and not self._ready):
                    self._change.notify()  # the news may have been for a lane that stays
                    return []
                self._linger()
                self._wait_for_company(retired)
                batch = self._pop()
                if batch:
                    self._busy_lanes += 1
                    return batch

    def finished(self) -> None:
        """A lane is done with its batch."""
        with self._change:
            self._busy_lanes -= 1

    def wake(self) -> None:
        """Let every waiting lane look again whether it is retired."""
        with self._change:
            self._change.notify_all()

    def close(self) -> None:
        """Lanes finish what is ready, then stop."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def leave(self) -> list[Item]:
        """Take out all that is left, and give its slots back; after `close`, when no lane runs."""
        with self._change:
            left = self._ready.sweep(lambda item: True)
            self._dropped([item.slot for item in left])
            return left

    def _linger(self) -> None:
        if not self._linger_seconds or not self._busy_lanes:
            return
        deadline = self._clock() + self._linger_seconds
        while len(self._ready) < self._limit and not self._closed:
            left = deadline - self._clock()
            if left <= 0 or not self._change.wait(left):
                return

    def _wait_for_company(self, retired: Callable[[], bool]) -> None:
        """Each image that becomes ready lets the lane look again."""
        deadline: float | None = None
        while self._may_wait() and not retired():
            now = self._clock()
            deadline = now + PATIENCE_SECONDS if deadline is None else deadline
            if now >= deadline or not self._change.wait(deadline - now):
                return

    def _may_wait(self) -> bool:
        ready = len(self._ready)
        if self._closed or not 0 < ready < self._limit:
            return False
        return self._wants_company(ready, self._ready.has("live"))

    def _pop(self) -> list[Item]:
        batch: list[Item] = []
        dropped: list[int] = []
        now = time.monotonic()
        while self._ready and len(batch) < self._limit:
            item = self._ready.turn()
            if self._abandoned(item, now):
                dropped.append(item.slot)
            else:
                batch.append(item)
        if dropped:
            self._dropped(dropped)
        if self._ready:
            self._change.notify()
        batch.sort(key=lambda item: item.slot)
        return batch
