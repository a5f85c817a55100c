"""Talking to the holder of a running cluster.

Law: the socket is found through a directory handle, so the length of the checkout's path does not
matter; whether a cluster runs is asked of the holder, never guessed from a file.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice_local.errors import HolderError, NotRunningError
from sluice_local.layout import Layout

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Component:
    """What the holder knows of one component."""

    name: str
    pid: int
    started: float
    ended: float | None
    status: int | None

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.ended is None

    @property
    def verdict(self) -> str:
        """Its state in words."""
        if self.running:
            return "running"
        if self.status is not None and self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"exited {self.status}"


class Control:
    """Requests to one checkout's holder."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def running(self) -> bool:
        """Whether a holder answers."""
        try:
            self.components()
        except NotRunningError:
            return False
        return True

    def holder_pid(self) -> int:
        """The holder's number in the host's pid namespace."""
        return int(self._ask({"op": "list"})["pid"])

    def components(self) -> dict[str, Component]:
        """Everything that was started since `up`, by name."""
        reply = self._ask({"op": "list"})
        return {
            name: Component(name, raw["pid"], raw["started"], raw["ended"], raw["status"])
            for name, raw in reply["children"].items()
        }

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Start a component inside; its number in the host's pid namespace.

        Raises:
            HolderError: one of that name runs already, or there is no such program.
        """
        request = {
            "op": "start",
            "name": name,
            "argv": list(argv),
            "env": dict(env),
            "log": str(log),
            "cwd": str(self._layout.state),
        }
        return int(self._ask(request)["pid"])

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal; False when it was not running."""
        try:
            self._ask({"op": "signal", "name": name, "signal": int(number)})
        except HolderError:
            return False
        return True

    def quit(self) -> None:
        """Tell the holder to end, and everything with it."""
        self._ask({"op": "quit"})

    def wait_ended(self, names: Sequence[str], deadline_seconds: float) -> list[str]:
        """Wait until these have ended; the names of those that have not in time."""
        end = time.monotonic() + deadline_seconds
        while True:
            known = self.components()
            left = [name for name in names if name in known and known[name].running]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.03)

    def stop(self, names: Sequence[str], grace_seconds: float) -> list[str]:
        """SIGTERM, wait, SIGKILL; the names of those that had to be killed."""
        for name in names:
            self.signal(name, signal.SIGTERM)
        left = self.wait_ended(names, grace_seconds)
        for name in left:
            self.signal(name, signal.SIGKILL)
        self.wait_ended(left, 2.0)
        return left

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        line = self._exchange(json.dumps(request).encode() + b"\n")
        if not line:
            raise NotRunningError("the cluster ended while we asked it")
        reply: dict[str, Any] = json.loads(line)
        if not reply.get("ok"):
            raise HolderError(str(reply.get("error")))
        return reply

    def _exchange(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_SECONDS)
            try:
                directory = os.open(self._layout.state, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                raise NotRunningError("the cluster is not running: start it with `up`") from None
            try:
                connection.connect(f"/proc/self/fd/{directory}/control")
            except (FileNotFoundError, ConnectionRefusedError):
                raise NotRunningError("the cluster is not running: start it with `up`") from None
            finally:
                os.close(directory)
            try:
                connection.sendall(request)
                with connection.makefile("rb") as stream:
                    return stream.readline()
            except TimeoutError:
                raise HolderError(
                    f"the holder process does not answer within {_TIMEOUT_SECONDS:.0f} s; "
                    "`down` ends it, `up` starts anew"
                ) from None
