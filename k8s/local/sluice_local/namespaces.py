"""Making the cluster's namespaces, and entering them.

Law: whoever makes or enters them must be single-threaded. The network namespace gets no way out:
what runs in it can reach nothing, and nothing outside can reach it.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sluice_local import syscalls
from sluice_local.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """Which kinds to make besides mount and network, which are always made."""

    user: bool
    pid: bool
    """Ending its first process ends everything in it. A container that masks parts of /proc
    refuses the fresh /proc that it needs; then the mark (mark.py) finds what must be ended."""


def plans(euid: int) -> tuple[Plan, ...]:
    """What to try, best first; without a user namespace only root can make the others."""
    rootless = (Plan(user=True, pid=True), Plan(user=True, pid=False))
    as_root = (Plan(user=False, pid=True), Plan(user=False, pid=False))
    return rootless + as_root if euid == 0 else rootless


def make(plan: Plan) -> None:
    """Move this process into fresh namespaces; with ``plan.pid`` only its next children.

    Raises:
        OSError: refused; ``filename`` is the call.
    """
    if plan.user:
        _make_user()
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    if plan.pid:
        syscalls.unshare(syscalls.CLONE_NEWPID)


def mount_proc() -> None:
    """Show the new pid namespace in /proc; called by its first process."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", flags)


def identity_map(text: str) -> str:
    """A map that keeps every id of this namespace as it is, from the text of uid_map.

    The first id gets a row of its own: a single row of all ids is how programs (the kubelet's
    libraries among them) recognise the machine's first namespace, where they expect more rights.
    """
    rows = []
    for row in text.splitlines():
        first, _, count = (int(word) for word in row.split())
        rows.append(f"{first} {first} 1\n")
        if count > 1:
            rows.append(f"{first + 1} {first + 1} {count - 1}\n")
    return "".join(rows)


def _make_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _make_user_as_root():
        return
    if uid != 0:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    _write_map("setgroups", "deny")
    _write_map("uid_map", f"0 {uid} 1\n")
    _write_map("gid_map", f"0 {gid} 1\n")


def _make_user_as_root() -> bool:
    """As root keep every id, so that a checkout of another user stays writable; False if refused.

    Only a process outside may write such a map, so a child that stays behind does it.
    """
    parent, (reader, writer) = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(lambda: _map_when_told(parent, reader, writer))
    os.close(reader)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(writer, b"1")
    finally:
        os.close(writer)
        _, status = os.waitpid(child, 0)
    return status == 0


def _map_when_told(parent: int, reader: int, writer: int) -> int:
    os.close(writer)
    if not os.read(reader, 1):
        return 1
    for name in ("uid_map", "gid_map"):
        text = identity_map(Path(f"/proc/self/{name}").read_text())
        Path(f"/proc/{parent}/{name}").write_text(text)
    return 0


def _write_map(name: str, text: str) -> None:
    try:
        Path(f"/proc/self/{name}").write_text(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"writing /proc/self/{name}") from error


def _run_and_exit(body: Callable[[], int]) -> NoReturn:
    """End a forked child with the body's result, whatever happens in it."""
    status = 1
    try:
        status = body()
    except OSError:
        status = 1
    finally:
        os._exit(status)


def probe(euid: int) -> tuple[Plan | None, Refusal | None]:
    """Try the plans in children: the best one that works, and the first refusal seen."""
    first: Refusal | None = None
    for plan in plans(euid):
        refusal = _try(plan)
        if refusal is None:
            return plan, first
        first = first or refusal
    return None, first


def _try(plan: Plan) -> Refusal | None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(lambda: _report(writer, lambda: _make_whole(plan)))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if text:
        number, _, call = text.partition(" ")
        return Refusal(call=call, error=int(number))
    return None if status == 0 else Refusal(call="making namespaces", error=errno.EPERM)


def _make_whole(plan: Plan) -> None:
    make(plan)
    if not plan.pid:
        return
    # The kernel lets only a process inside the pid namespace mount its /proc.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(lambda: _report(writer, mount_proc))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    if text:
        number, _, call = text.partition(" ")
        raise OSError(int(number), os.strerror(int(number)), call)


def _report(writer: int, body: Callable[[], None]) -> int:
    try:
        body()
    except OSError as error:
        os.write(writer, f"{error.errno or errno.EPERM} {error.filename}".encode())
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Door:
    """Open handles on a holder's namespaces; entering does not race with its end."""

    user: int | None
    mount: int
    network: int
    pid: int | None

    @classmethod
    def of(cls, holder: int) -> Door:
        """Open the namespaces of a process that holds them.

        Raises:
            OSError: no such process, or not ours.
        """
        base = f"/proc/{holder}/ns/"
        return cls(
            user=_unless_ours(base, "user"),
            mount=os.open(base + "mnt", os.O_RDONLY),
            network=os.open(base + "net", os.O_RDONLY),
            pid=_unless_ours(base, "pid_for_children"),
        )

    def enter_network(self) -> None:
        """Take only the network (and the rights to do so): files stay the host's.

        Raises:
            OSError: refused; ``filename`` is the call.
        """
        if self.user is not None:
            syscalls.setns(self.user, syscalls.CLONE_NEWUSER)
        syscalls.setns(self.network, syscalls.CLONE_NEWNET)

    def enter(self) -> None:
        """Take all of them and keep the working directory; the next child is wholly inside.

        Raises:
            OSError: refused, or the working directory is gone; ``filename`` says which.
        """
        folder = os.getcwd()
        self.enter_network()
        if self.pid is not None:
            syscalls.setns(self.pid, syscalls.CLONE_NEWPID)
        syscalls.setns(self.mount, syscalls.CLONE_NEWNS)
        os.chdir(folder)


def _unless_ours(base: str, name: str) -> int | None:
    # Entering the user namespace one is in is refused, and another pid namespace may not be made.
    if os.readlink(base + name) == os.readlink(f"/proc/self/ns/{name}"):
        return None
    return os.open(base + name, os.O_RDONLY)


def default_signals() -> None:
    """Undo what Python changed, before another program takes this process over."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
