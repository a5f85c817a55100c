"""The state file: which process holds the cluster, and which binaries it was started from.

Law: reading it never trusts it; a file that cannot be understood counts as a crashed run.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from sluice_local.process import ProcessIdentity

VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One run of the cluster."""

    holder: ProcessIdentity
    binaries: dict[str, str]
    """Module name -> key of the build that the components were started from."""

    def to_text(self) -> str:
        """The file's text."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)


def parse_record(text: str) -> Record | None:
    """Read a state file's text; None when it is not one of ours."""
    try:
        raw = json.loads(text)
    except ValueError:
        return None
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        return None
    holder, binaries = raw.get("holder"), raw.get("binaries")
    if not isinstance(holder, dict) or not isinstance(binaries, dict):
        return None
    pid, ticks, boot = holder.get("pid"), holder.get("start_ticks"), holder.get("boot")
    if not (type(pid) is int and pid > 1 and type(ticks) is int and isinstance(boot, str)):
        return None
    return Record(
        holder=ProcessIdentity(pid=pid, start_ticks=ticks, boot=boot),
        binaries={str(name): str(key) for name, key in binaries.items()},
    )


def read_record(path: Path) -> Record | None:
    """The state file's content, or None when it is missing or unreadable as one."""
    try:
        return parse_record(path.read_text(errors="replace"))
    except FileNotFoundError:
        return None


def write_record(path: Path, record: Record) -> None:
    """Replace the state file in one step."""
    draft = path.with_suffix(".new")
    draft.write_text(record.to_text())
    os.replace(draft, path)
