"""The holder: one small process that keeps the namespaces and is the parent of every component.

Law: it decides nothing. It starts what it is told over its unix socket, remembers how each ended,
and passes signals on. Its end, even by SIGKILL, is the end of everything inside. It must stay
single-threaded, for a process with threads may not fork into another pid namespace.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice_local import mark, namespaces, syscalls

_REQUEST_SECONDS = 2.0
_REQUEST_LIMIT = 1 << 20


@dataclass(slots=True)
class Child:
    """One component that was started, running or ended."""

    pid: int
    argv: list[str]
    started: float
    """Seconds since the epoch."""
    ended: float | None = None
    status: int | None = None
    """os.waitstatus_to_exitcode: the exit code, or minus the signal's number."""

    def to_json(self) -> dict[str, Any]:
        """What `list` answers about it."""
        return {
            "pid": self.pid,
            "argv": self.argv,
            "started": self.started,
            "ended": self.ended,
            "status": self.status,
        }


class Holder:
    """Parent of the components; serves one request at a time."""

    def __init__(self, listener: socket.socket, init: int | None, mark: str) -> None:
        self._listener = listener
        self._mark = mark
        self._init = init
        self._children: dict[str, Child] = {}
        self._ending = False

    def serve(self) -> None:
        """Answer requests and reap children until told to quit or until init is gone."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.quit())
        self._listener.setblocking(False)
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(reader, select.POLLIN)
        while not self._ending:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if reader in ready:
                os.read(reader, 4096)
            self._reap()
            if self._listener.fileno() in ready and not self._ending:
                self._accept()

    def quit(self) -> None:
        """Leave the loop; the end of this process ends everything inside."""
        self._ending = True

    def _reap(self) -> None:
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._init:
                self._init = None
                self.quit()
            self._note_end(pid, os.waitstatus_to_exitcode(raw))

    def _note_end(self, pid: int, status: int) -> None:
        for child in self._children.values():
            if child.pid == pid:
                child.ended, child.status = time.time(), status

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                reply = self._answer(_read_line(connection))
                connection.sendall(json.dumps(reply).encode() + b"\n")
            except OSError as error:
                # The client went away or sent nothing: its loss, the cluster goes on.
                print(f"holder: a client failed: {error}", file=sys.stderr, flush=True)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation = request["op"]
            if operation == "list":
                return self._list()
            if operation == "start":
                return self._start(request)
            if operation == "signal":
                return self._signal(request["name"], request["signal"])
            if operation == "quit":
                self.quit()
                return {"ok": True}
        except (ValueError, KeyError, TypeError, OSError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return {"ok": False, "error": f"unknown operation {operation!r}"}

    def _list(self) -> dict[str, Any]:
        children = {name: child.to_json() for name, child in self._children.items()}
        return {"ok": True, "pid": os.getpid(), "init": self._init, "children": children}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        name = str(request["name"])
        present = self._children.get(name)
        if present is not None and present.ended is None:
            return {"ok": False, "error": f"{name} is already running"}
        argv = [str(word) for word in request["argv"]]
        pid = _spawn(argv, request["env"], request["log"], request["cwd"])
        self._children[name] = Child(pid=pid, argv=argv, started=time.time())
        return {"ok": True, "pid": pid}

    def _signal(self, name: str, number: int) -> dict[str, Any]:
        child = self._children.get(name)
        if child is None or child.ended is not None:
            return {"ok": False, "error": f"{name} is not running"}
        os.kill(child.pid, number)
        return {"ok": True}

    def end_all(self) -> None:
        """SIGKILL what is still there: init first, for everything in its namespace goes with it."""
        pids = [child.pid for child in self._children.values() if child.ended is None]
        for pid in [self._init, *pids] if self._init else pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # Without a pid namespace the pods' processes outlive their node: find them by the mark.
        _, left = mark.sweep(self._mark, 2.0)
        if left:
            print(f"holder: still there: {left}", file=sys.stderr, flush=True)
        _reap_all(2.0)


def _reap_all(deadline_seconds: float) -> None:
    """Leave no dead children to a first process of a container, which may never look at them."""
    end = time.monotonic() + deadline_seconds
    while time.monotonic() < end:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.01)


def _read_line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk or len(data) > _REQUEST_LIMIT:
            break
        data += chunk
    return data


def _spawn(argv: list[str], env: dict[str, str], log: str, cwd: str) -> int:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    parent = os.getpid()
    # A signal for the child must wait until its own handling of signals is set, or it is lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(output)
        return pid
    try:
        _become(argv, env, output, cwd, parent)
    except OSError as error:
        os.write(output, f"cannot start {argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _become(argv: list[str], env: dict[str, str], output: int, cwd: str, parent: int) -> None:
    signal.set_wakeup_fd(-1)
    namespaces.default_signals()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.setsid()
    syscalls.die_with_parent(signal.SIGKILL)
    # The parent may have ended before the line above; inside a pid namespace it reads as 0.
    if os.getppid() not in {0, parent}:
        os._exit(127)
    empty = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((empty, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.chdir(cwd)
    os.execve(argv[0], argv, env)  # noqa: S606  its own components, by full path


def _init_process(writer: int) -> None:
    """First process of the pid namespace: mounts /proc, then reaps orphans for ever."""
    syscalls.die_with_parent(signal.SIGKILL)
    namespaces.default_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    namespaces.mount_proc()
    os.write(writer, b"1")
    os.closerange(3, 1 << 16)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait({signal.SIGCHLD})


def _start_init() -> int:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _init_process(writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        if not pipe.read(1):
            raise OSError(0, "the first process of the pid namespace ended at once", "init")
    return pid


def _mount_mark(source: str, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount(source, str(directory), "tmpfs", flags, "size=4k")


def _listen() -> socket.socket:
    # A relative name: the full path of the checkout may be longer than a socket address.
    Path("control").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("control")
    listener.listen(16)
    return listener


def main(state: Path, source: str, plan: namespaces.Plan, ready: int) -> int:
    """Make the namespaces, say so on the descriptor ``ready``, and serve until the end.

    Raises:
        OSError: a namespace or a mount was refused.
    """
    os.chdir(state)
    syscalls.adopt_orphans()
    listener = _listen()
    namespaces.make(plan)
    _mount_mark(source, state / "mark")
    # A fresh mount namespace keeps the old working directory; a new start from the path is inside.
    os.chdir(state)
    init = _start_init() if plan.pid else None
    os.write(ready, b"1")
    os.close(ready)
    holder = Holder(listener, init, source)
    try:
        holder.serve()
    finally:
        holder.end_all()
        Path("control").unlink(missing_ok=True)
    return 0
