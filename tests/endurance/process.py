"""The real server as a process on loopback, seen from outside: its answers, memory, threads."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self

from embedding_contract.endpoints import READY_PATH, Environment

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
END_SECONDS = 30.0
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy of the environment stands between this machine and itself."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process holds: resident bytes, open descriptors, threads by kind."""

    rss_bytes: int
    descriptors: int
    threads: Counter[str]


class ServerProcess:
    """`python -m embedding_service` with the tiny model and random weights.

    `settings` are environment variables by their names in the contract (`QUEUE_SIZE`, ...).
    Use it as a context manager; leaving the block ends the process that was started here.
    """

    def __init__(self, *, wait_ready: bool = True, **settings: object) -> None:
        self.port = free_port()
        self._wait_ready = wait_ready
        chosen = {
            "MODEL": "sluice-tiny", "PRETRAINED": "random:0", "DEVICE": "cpu",
            "HOST": "127.0.0.1", "PORT": self.port,
            # Prepared requests carry the same images again and again; each is to be computed.
            "SHARE_IDENTICAL": "false",
        } | settings  # fmt: skip
        self._environ = {name: v for name, v in os.environ.items() if "EMBEDDING_" not in name} | {
            getattr(Environment, name): str(value) for name, value in chosen.items()
        }
        self._log: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "embedding_service"],
            env=self._environ, cwd=ROOT, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        if self._wait_ready:
            self.until_status(READY_PATH, 200)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_SECONDS)
        if error is not None:
            print(self.log()[-4000:], file=sys.stderr)
        self._log.close()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running process."""
        assert self._process is not None, "the process was not started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def log(self) -> str:
        """Return what it wrote so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait for its end and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended in time.
        """
        return self.process.wait(seconds)

    def status(self, path: str) -> int:
        """Return the status of a GET; 0 when nobody answers."""
        try:
            with _OPEN.open(self._url(path), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def get(self, path: str) -> str:
        """Return the text of a GET that must succeed."""
        with _OPEN.open(self._url(path), timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        """Return one sample by its full name with labels, for example `x_total{outcome="ok"}`."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)
        assert found is not None, f"no metric {name}"
        return float(found.group(1))

    def until_status(self, path: str, wanted: int, seconds: float = START_SECONDS) -> None:
        """Wait until a GET answers with `wanted`; fail when the process ends before."""
        deadline = time.monotonic() + seconds
        while (found := self.status(path)) != wanted:
            assert self.running, f"the server ended:\n{self.log()[-2000:]}"
            assert time.monotonic() < deadline, f"{path} still answers {found}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def resources(self) -> Resources:
        """Look at the process through /proc. Threads count by name without their number."""
        folder = Path("/proc") / str(self.process.pid)
        pages = int((folder / "statm").read_text().split()[1])
        return Resources(
            rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
            descriptors=len(list((folder / "fd").iterdir())),
            threads=Counter(_thread_names(folder)),
        )

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def _thread_names(folder: Path) -> list[str]:
    names = []
    for task in (folder / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            names.append(re.sub(r"[-_]?\d+$", "", (task / "comm").read_text().strip()))
    return names
