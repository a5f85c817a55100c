"""How often a broken lane is replaced, and when to give up. Pure."""

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60.0
MAX_REPLACEMENTS: Final = 5
"""This many replacements within the window: the fault is not the lane's. Liveness says so."""

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 5.0


class Replacements:
    """The replacements of one pipeline's lanes. `now` is any steady clock in seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MAX_REPLACEMENTS)
        self._reason = ""

    def pause(self, now: float) -> float:
        """Return the seconds to wait before the next one: none for the first, then doubling."""
        recent = self._recent(now)
        if not recent:
            return 0.0
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (recent - 1))

    def note(self, now: float, reason: str) -> None:
        """Remember one replacement, or one attempt at it."""
        self._times.append(now)
        self._reason = reason

    def problem(self, now: float) -> str | None:
        """Return why replacing does not help, or None."""
        recent = self._recent(now)
        if recent < MAX_REPLACEMENTS:
            return None
        return f"lanes broke {recent} times within {WINDOW_SECONDS:.0f} s, the last: {self._reason}"

    def _recent(self, now: float) -> int:
        return sum(now - time < WINDOW_SECONDS for time in list(self._times))
