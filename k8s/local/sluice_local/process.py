"""Who a process is: its number, its start time and the boot it lives in.

Law: a number alone names nobody, for numbers are given again. Nothing is signalled unless all
three agree.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


def boot_id() -> str:
    """The kernel's name for this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def parse_start_ticks(stat: str) -> int:
    """Start time in clock ticks since boot, from the text of /proc/PID/stat.

    Raises:
        ValueError: not the text of a stat file.
    """
    # The command's name stands in parentheses and may itself hold spaces and parentheses.
    _, separator, rest = stat.rpartition(")")
    fields = rest.split()
    if not separator or len(fields) < 20:
        raise ValueError("not the text of /proc/PID/stat")
    return int(fields[19])


def parse_state(stat: str) -> str:
    """The one-letter process state (Z: ended, not yet reaped), from /proc/PID/stat."""
    return stat.rpartition(")")[2].split()[0]


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for all time."""

    pid: int
    start_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a living process, or None when there is none of that number."""
        stat = _read_stat(pid)
        if stat is None or parse_state(stat) in "ZX":
            return None
        return cls(pid=pid, start_ticks=parse_start_ticks(stat), boot=boot_id())

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def kill(self, deadline_seconds: float) -> bool:
        """SIGKILL this very process and wait; True when it is gone."""
        if self.alive:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return True
        end = time.monotonic() + deadline_seconds
        while self.alive and time.monotonic() < end:
            time.sleep(0.02)
        return not self.alive


def _read_stat(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
