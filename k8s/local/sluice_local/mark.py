"""Finding every process of a cluster by the mark in its mount table.

Law: the holder mounts a file system whose source is the cluster's mark; all its descendants, pods
with mount namespaces of their own included, inherit it, and nobody else has it. So what is ours can
be told from what is not even when the holder and the state file are gone.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def carries(mountinfo: str, mark: str) -> bool:
    """Whether a mount table (text of /proc/PID/mountinfo) holds a mount from ``mark``."""
    for line in mountinfo.splitlines():
        _, separator, rest = line.partition(" - ")
        # After the separator: kind, source, options.
        if separator and rest.split(" ")[1:2] == [mark]:
            return True
    return False


def inside(mark: str) -> bool:
    """Whether the calling process itself runs in that cluster."""
    return carries(Path("/proc/self/mountinfo").read_text(errors="replace"), mark)


def marked(mark: str) -> list[int]:
    """Every process but the caller that carries the mark and that we may look at."""
    known: dict[str, bool] = {}
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            namespace = os.readlink(f"/proc/{name}/ns/mnt")
            if namespace not in known:
                text = Path(f"/proc/{name}/mountinfo").read_text(errors="replace")
                known[namespace] = carries(text, mark)
        except OSError:
            # Ended meanwhile, or another user's: then it is not ours.
            continue
        if known[namespace]:
            found.append(int(name))
    return found


def sweep(mark: str, deadline_seconds: float) -> tuple[int, list[int]]:
    """SIGKILL everything that carries the mark: (how many were found, what is still there)."""
    end = time.monotonic() + deadline_seconds
    seen: set[int] = set()
    while True:
        found = marked(mark)
        seen.update(found)
        if not found or time.monotonic() > end:
            return len(seen), found
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
