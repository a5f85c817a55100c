"""Waiting for a condition with a deadline: the only way to wait here."""

import time
from collections.abc import Callable
from typing import TypeVar

from inside.errors import TooLateError

T = TypeVar("T")


def eventually(
    check: Callable[[], T | None],
    what: str,
    seconds: float,
    *,
    every: float = 0.25,
    last: Callable[[], str] | None = None,
) -> T:
    """Call `check` until it returns something true, and return that.

    Args:
        check: returns a false value while the condition does not hold.
        what: the condition in words, for the message.
        seconds: the deadline.
        every: seconds between two looks.
        last: says what was there instead, for the message.

    Raises:
        TooLateError: the deadline passed.
    """
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            seen = f"; last seen: {last()}" if last else ""
            raise TooLateError(f"not within {seconds:.0f} s: {what}{seen}")
        time.sleep(every)


def holds(check: Callable[[], bool], what: str, seconds: float, *, every: float = 0.5) -> None:
    """Look again and again for `seconds`; the condition must hold every time.

    Raises:
        TooLateError: it did not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not check():
            raise TooLateError(f"did not hold for {seconds:.0f} s: {what}")
        time.sleep(every)
