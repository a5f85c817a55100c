"""Servers and measuring children as processes of this machine; each is ended by its own id."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.client import Order, Result

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1"
START_SECONDS: Final = 300.0
STOP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """How to start one server. `{port}` in a word of the command is the port it is given."""

    name: str
    command: tuple[str, ...]
    ready_path: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    url: str
    port: int
    pid: int

    def get(self, path: str) -> str:
        """Return the text of a GET that must answer 200."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"GET {path} answered {answer.status}")
            return answer.read().decode()


class DidNotStart(RuntimeError):
    """A server ended or was not ready in time; the text has its last words."""


@contextlib.contextmanager
def running(program: Program) -> Iterator[Running]:
    """Run a server until the block ends; it answers when the block begins.

    Raises:
        DidNotStart: it ended, or did not answer within START_SECONDS.
    """
    port = free_port()
    command = [word.replace("{port}", str(port)) for word in program.command]
    environment = {
        name: value.replace("{port}", str(port)) for name, value in program.environment.items()
    }
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=words, stderr=words, cwd=ROOT
        )
        server = Running(f"http://{HOST}:{port}", port, process.pid)
        try:
            _await_ready(program, server, process, words)
            yield server
        finally:
            _end(process)


def _await_ready(
    program: Program, server: Running, process: subprocess.Popen[bytes], words: Any
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DidNotStart(f"{program.name} ended with {process.returncode}: {_last(words)}")
        with contextlib.suppress(OSError, http.client.HTTPException, RuntimeError):
            server.get(program.ready_path)
            return
        time.sleep(0.1)
    raise DidNotStart(f"{program.name} did not answer in {START_SECONDS:.0f} s: {_last(words)}")


def _last(words: Any) -> str:
    words.seek(0)
    return " | ".join(words.read().decode(errors="replace").strip().splitlines()[-5:])[-800:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server: twice asked is at once for Sluice; who does not listen is killed."""
    for _ in range(2):
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
    try:
        process.wait(STOP_SECONDS / 4)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def measured(order: Order) -> Result:
    """Carry out an order in a client process of its own.

    Raises:
        RuntimeError: the client broke; the text has its last words.
    """
    limit = order.warm_seconds + order.seconds + order.drain_seconds + 120
    answer = child("bench.client", json.dumps(asdict(order)), limit)
    document = json.loads(answer)
    document["vectors"] = {int(key): value for key, value in document["vectors"].items()}
    document["completed"] = [tuple(row) for row in document["completed"]]
    return Result(**document)


def child(
    module: str, given: str, limit_seconds: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run one of our modules with `given` on its standard input; return its standard output.

    Raises:
        RuntimeError: it failed; the text has its last words.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=given, capture_output=True, text=True, timeout=limit_seconds, check=False, cwd=ROOT,
        env=os.environ | python_path() | dict(environment or {}),
    )  # fmt: skip
    if done.returncode:
        words = " | ".join(done.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f"{module} ended with {done.returncode}: {words}")
    return done.stdout


def python_path() -> dict[str, str]:
    """Return the variable that lets a child find the modules of this checkout first."""
    rooms = [str(ROOT / room) for room in ("service", "tests")]
    return {"PYTHONPATH": os.pathsep.join([*rooms, os.environ.get("PYTHONPATH", "")])}


_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.eE+-]+|NaN|[+-]Inf)$", re.MULTILINE)


def samples(text: str) -> dict[str, float]:
    """Return `name` or `name{labels}` to value, of Prometheus' text format."""
    return {
        f"{name}{{{labels}}}" if labels else name: float(value)
        for name, labels, value in _SAMPLE.findall(text)
    }


def grown(before: Mapping[str, float], after: Mapping[str, float], names: Sequence[str]) -> float:
    """Return by how much the sum of these samples grew."""
    return sum(after.get(name, 0.0) - before.get(name, 0.0) for name in names)
