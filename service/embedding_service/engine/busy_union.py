"""Busy time of one device that several lanes share: overlapping intervals count once."""

import threading
import time


class BusyUnion:
    """Adds up the union of intervals that end in about the order in which they are reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._seconds = 0.0
        self._window = (time.monotonic(), 0.0)

    def add(self, start: float, end: float) -> float:
        """Add one interval (seconds on one clock); return the seconds that were not counted yet."""
        with self._lock:
            fresh = max(0.0, end - max(start, self._until))
            self._until = max(self._until, end)
            self._seconds += fresh
            return fresh

    def ratio(self) -> float:
        """Return the busy share since the last call, 0 to 1."""
        with self._lock:
            now = time.monotonic()
            before, seconds = self._window
            self._window = (now, self._seconds)
            return min(1.0, (self._seconds - seconds) / max(now - before, 1e-9))
