"""Reading a component's log: the end of it, and what follows.

Law: it reads backwards in blocks, so a log of gigabytes costs no more than a short one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_BLOCK = 65536
_LOOK_SECONDS = 0.2


def last_lines(path: Path, count: int) -> list[str]:
    """The last ``count`` lines of a file; empty when it is missing."""
    try:
        with path.open("rb") as stream:
            return _tail(stream.fileno(), count)
    except FileNotFoundError:
        return []


def _tail(descriptor: int, count: int) -> list[str]:
    position, data = os.lseek(descriptor, 0, os.SEEK_END), b""
    # One line end more than lines: the first of them may be cut.
    while position > 0 and data.count(b"\n") <= count:
        size = min(_BLOCK, position)
        position -= size
        data = os.pread(descriptor, size, position) + data
    lines = data.decode(errors="replace").splitlines()
    return lines[-count:] if count else []


def follow(path: Path, going: Callable[[], bool]) -> Iterator[str]:
    """What is appended to a file from now on, as long as ``going`` says so."""
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        while True:
            chunk = stream.read()
            if chunk:
                yield chunk.decode(errors="replace")
                continue
            if not going():
                return
            if path.exists() and path.stat().st_size < stream.tell():
                stream.seek(0)
            time.sleep(_LOOK_SECONDS)
