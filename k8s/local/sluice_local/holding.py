"""Starting the holder process, and finding and ending what an earlier run left.

Law: a process is ended only when its mark or its recorded identity says that it is ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from sluice_local import mark, namespaces, refusal
from sluice_local.control import Control
from sluice_local.errors import (
    ComponentError,
    HolderError,
    LocalClusterError,
    NamespaceError,
    NotRunningError,
)
from sluice_local.layout import Layout
from sluice_local.logfile import last_lines
from sluice_local.process import ProcessIdentity
from sluice_local.record import read_record
from sluice_local.tree import remove_tree

_READY_SECONDS = 20.0
_KEPT = "logs"


def choose_plan() -> namespaces.Plan:
    """The best kind of namespaces that this machine allows.

    Raises:
        NamespaceError: none; the message names the refused call and the ways on.
    """
    euid = os.geteuid()
    plan, first = namespaces.probe(euid)
    if plan is None:
        assert first is not None
        raise NamespaceError(refusal.explain(first, refusal.read_facts(), euid))
    return plan


def start_holder(layout: Layout, plan: namespaces.Plan) -> ProcessIdentity:
    """Start the holder as a daemon and wait until its namespaces stand.

    Raises:
        ComponentError: it ended at once; the message carries its last words.
    """
    entry = Path(__file__).resolve().parents[1] / "cluster.py"
    reader, writer = os.pipe()
    words = [sys.executable, str(entry), "hold", "--ready", str(writer)]
    words += [f"--{name}" for name in ("user", "pid") if getattr(plan, name)]
    with layout.log_of("holder").open("ab") as log:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read(1)
    identity = ProcessIdentity.of(process.pid)
    if not told or identity is None:
        process.wait(timeout=_READY_SECONDS)
        text = "\n".join(last_lines(layout.log_of("holder"), 15))
        raise ComponentError(f"the holder process ended at once:\n{text}")
    # It outlives this command, so nobody waits for it here.
    process.returncode = 0
    return identity


def clean_leftovers(layout: Layout) -> int:
    """End whatever an earlier run of this checkout left running; how many processes that were.

    Raises:
        LocalClusterError: some of them cannot be ended.
    """
    record = read_record(layout.record)
    count = 0
    if record is not None and record.holder.alive:
        count += 1
        record.holder.kill(deadline_seconds=5.0)
    found, left = mark.sweep(layout.mark, deadline_seconds=10.0)
    if left:
        raise LocalClusterError(
            f"processes {left} of an earlier run do not end (uninterruptible, or another user's)"
        )
    return count + found


def clear_state(layout: Layout) -> None:
    """Remove an earlier run's files, except its logs: they move to ``logs.previous``."""
    if not layout.state.exists():
        return
    for path in layout.state.iterdir():
        if path.name not in {_KEPT, "logs.previous"}:
            remove_tree(path)


def fresh_state(layout: Layout) -> None:
    """An empty state directory, private to this user."""
    clear_state(layout)
    layout.state.mkdir(parents=True, exist_ok=True)
    layout.state.chmod(0o700)
    previous = layout.state / "logs.previous"
    remove_tree(previous)
    if layout.logs.exists():
        os.rename(layout.logs, previous)
    layout.logs.mkdir()


def end_holder(layout: Layout, control: Control) -> None:
    """Ask the holder to end; SIGKILL for it and all that carries the mark as the last resort."""
    record = read_record(layout.record)
    try:
        control.quit()
    except (NotRunningError, HolderError):
        # Gone already, or deaf: what follows ends it either way.
        record = None
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        if record is None or not record.holder.alive:
            break
        time.sleep(0.02)
    clean_leftovers(layout)
