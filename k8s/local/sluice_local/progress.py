"""Telling a person what goes on: one line for each step, with its seconds.

Law: on a terminal a line may move; elsewhere (logs, CI) only whole lines are written, and a long
step writes one every 15 seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_QUIET_SECONDS = 15.0
_WIDTH = 46


class Reporter:
    """Writes steps to a stream, standard error by default: results go to standard output."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moving = self._stream.isatty()
        self._last = 0.0

    def say(self, text: str) -> None:
        """Write one whole line."""
        self._clear()
        print(text, file=self._stream, flush=True)

    @contextmanager
    def step(self, title: str, begin: float | None = None) -> Iterator[None]:
        """Time a step, from ``begin`` (time.monotonic) if it began earlier than its turn."""
        begin = time.monotonic() if begin is None else begin
        self._last = time.monotonic()
        self._draw(f"  {title} ...")
        try:
            yield
        except BaseException:
            self.say(f"  {title:<{_WIDTH}} failed after {time.monotonic() - begin:.1f} s")
            raise
        self.say(f"  {title:<{_WIDTH}} {time.monotonic() - begin:6.1f} s")

    def moving(self, text: str) -> None:
        """Show where a long step is: in place on a terminal, else at most every 15 s."""
        if self._moving:
            self._draw(f"  {text}")
        elif time.monotonic() - self._last >= _QUIET_SECONDS:
            self._last = time.monotonic()
            print(f"  {text}", file=self._stream, flush=True)

    def _draw(self, text: str) -> None:
        if self._moving:
            self._stream.write(f"\r\x1b[K{text[:110]}")
            self._stream.flush()

    def _clear(self) -> None:
        if self._moving:
            self._stream.write("\r\x1b[K")
