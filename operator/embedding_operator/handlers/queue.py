"""The work queue: each key once, at its earliest wanted time, never by two tasks at a time."""

import asyncio
import contextlib
from collections.abc import Callable

from embedding_operator.api.names import Key


class WorkQueue:
    """Keys that want a look.

    A key that is wanted again while somebody works on it is handed out after `done`.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._changed = asyncio.Event()

    def add(self, key: Key, delay_seconds: float = 0.0) -> None:
        """Want a look after the delay. The earliest wish wins."""
        due = self._clock() + max(0.0, delay_seconds)
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._changed.set()

    async def get(self) -> Key:
        """Wait for the next key and take it; call `done` afterwards."""
        while True:
            waiting = {key: due for key, due in self._due.items() if key not in self._busy}
            key = min(waiting, key=lambda each: waiting[each], default=None)
            rest = None if key is None else waiting[key] - self._clock()
            if key is not None and rest is not None and rest <= 0:
                del self._due[key]
                self._busy.add(key)
                return key
            await self._wait(rest)

    def done(self, key: Key) -> None:
        """Give the key back."""
        self._busy.discard(key)
        self._changed.set()

    def forget(self, key: Key) -> None:
        """Drop a wish."""
        self._due.pop(key, None)

    def lag_seconds(self) -> float:
        """How long the most overdue key has waited for a task."""
        now = self._clock()
        waiting = [due for key, due in self._due.items() if key not in self._busy]
        return max((0.0, *(now - due for due in waiting)))

    def __len__(self) -> int:
        return len(self._due)

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
