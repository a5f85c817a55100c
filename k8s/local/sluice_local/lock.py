"""A file lock between processes, with a word to the person who waits.

Law: the lock is the kernel's (flock), so a killed holder can never leave it behind.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sluice_local.errors import BusyError


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(path: Path) -> str:
    text = path.read_text(errors="replace").strip()
    return f"process {text}" if text.isdigit() else "another process"


@contextmanager
def locked(path: Path, *, wait_seconds: float, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold ``path`` locked; ``waiting`` is told once who holds it when it is not free.

    Raises:
        BusyError: it did not become free within ``wait_seconds``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path, wait_seconds, waiting)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(
    descriptor: int, path: Path, wait_seconds: float, waiting: Callable[[str], None]
) -> None:
    if _try_lock(descriptor):
        return
    waiting(_owner(path))
    end = time.monotonic() + wait_seconds
    while not _try_lock(descriptor):
        if time.monotonic() > end:
            raise BusyError(f"{path} is held by {_owner(path)}; waited {wait_seconds:.0f} s")
        time.sleep(0.2)
