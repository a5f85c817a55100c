"""How many cores the container may use, and how long the kernel held it back.

The host's core count is the wrong answer in a container: a pool sized by it is throttled.
"""

import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def cpu_limit_cores(stated: float | None, root: Path = CGROUP_ROOT) -> float:
    """Return cores: the stated limit, else the control group's quota, else the CPU affinity."""
    if stated:
        return stated
    return _quota_v2(root) or _quota_v1(root) or float(len(os.sched_getaffinity(0)))


def memory_limit_bytes(root: Path = CGROUP_ROOT) -> float | None:
    """Return the memory that the container may use: its limit, else the machine's; None unknown."""
    stated = _text(root / "memory.max") or _text(root / "memory" / "memory.limit_in_bytes")
    try:
        machine: float | None = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):  # this system does not say
        machine = None
    limit = float(stated) if stated.strip().isdecimal() else None
    known = [value for value in (limit, machine) if value]
    return min(known, default=None)


def throttled_seconds(root: Path = CGROUP_ROOT) -> float:
    """Return the time that the kernel held the container back; 0 where nothing limits it."""
    v2 = _statistics(root / "cpu.stat")
    if "throttled_usec" in v2:
        return v2["throttled_usec"] / 1e6
    v1 = _statistics(root / "cpu" / "cpu.stat")
    return v1.get("throttled_time", 0) / 1e9


def _quota_v2(root: Path) -> float | None:
    text = _text(root / "cpu.max").split()
    if len(text) != 2 or text[0] == "max":
        return None
    return int(text[0]) / int(text[1])


def _quota_v1(root: Path) -> float | None:
    quota = _text(root / "cpu" / "cpu.cfs_quota_us").strip()
    period = _text(root / "cpu" / "cpu.cfs_period_us").strip()
    if not quota or not period or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def _statistics(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # not this kind of control group
        return ""
