"""The load client, a process of its own: `python -m bench.client < order.json > result.json`.

It shares the cores with the server that it measures, so it does next to nothing: a thread for each
client with a blocking socket, buffers that were built before, no parsing but of each client's first
answer. It goes to loopback only and is bounded in time. It also reads how much CPU time the server,
itself and the whole machine used in the window, and tells of all in one JSON document.
"""

import json
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import psutil

from bench.wires import Buffer, Vector, Wire, wire_named
from load.target import checked_target

MAX_FAILURES: Final = 50
"""A client that failed so often gives up: the figures are worthless anyway."""

SEED: Final = 20261125
_SOCKET_SECONDS: Final = 300.0
_GATHERED: Final = 512
"""Buffers in one system call; the kernel takes 1024."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `files` are JPEG files; every request carries `least` to `most` of them."""

    url: str
    wire: str
    files: list[str]
    clients: int
    least: int
    most: int
    warm_seconds: float
    seconds: float
    server_pid: int
    drain_seconds: float = 0.0
    """How long to wait for requests in flight at the end, for the sake of who comes next: most
    servers compute on for a client that has gone."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A clock and three counters of CPU seconds."""

    clock: float
    server: float
    client: float
    machine: float


@dataclass(slots=True)
class Result:
    """What came back. Times are seconds; `completed` is [[end, seconds, images], ...] in the
    window, ends counted from its beginning. CPU seconds are those of the window."""

    window: float
    completed: list[tuple[float, float, int]]
    failed: int
    faults: dict[str, int]
    server_cpu: float
    client_cpu: float
    machine_cpu: float
    vectors: dict[int, Vector]
    lowest_agreement: float
    answer_bytes: int


class BrokenAnswer(Exception):
    """An answer that is no good; the text says why."""


class Connection:
    """One keep-alive HTTP/1.1 connection that gathers its body from many buffers."""

    def __init__(self, url: str, wire: Wire) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {wire.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: {wire.content_type}\r\nContent-Length: "
        ).encode()
        self._socket: socket.socket | None = None
        self._room = bytearray(1 << 16)

    def ask(self, body: list[Buffer]) -> bytes:
        """Send one request and return the body of a 200.

        Raises:
            BrokenAnswer: another status, or no proper HTTP.
            OSError: the connection broke.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, _SOCKET_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        length = sum(map(len, body))
        send_all(self._socket, [self._head + b"%d\r\n\r\n" % length, *body])
        return self._answer(self._socket)

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _answer(self, source: socket.socket) -> bytes:
        got = self._more(source, 0)
        while (split := self._room.find(b"\r\n\r\n", 0, got)) < 0:
            got += self._more(source, got)
        head = bytes(self._room[:split]).lower()
        place = head.find(b"\r\ncontent-length:")
        if place < 0:
            raise BrokenAnswer("the answer does not state its length")
        end = split + 4 + int(head[place + 17 :].partition(b"\r\n")[0])
        while got < end:
            got += self._more(source, got, end)
        body = bytes(memoryview(self._room)[split + 4 : end])
        status = head[9:12]
        if status != b"200":
            raise BrokenAnswer(f"{status.decode()}: {body[:200].decode(errors='replace')}")
        return body

    def _more(self, source: socket.socket, got: int, end: int = 0) -> int:
        if len(self._room) <= max(got, end):
            self._room += bytes(max(got, end))
        count = source.recv_into(memoryview(self._room)[got:])
        if not count:
            raise BrokenAnswer("the server closed the connection")
        return count


def send_all(target: socket.socket, buffers: Sequence[Buffer]) -> None:
    """Send buffers one behind the other without putting them together first."""
    left = [memoryview(buffer) for buffer in buffers]
    first = 0
    while first < len(left):
        sent = target.sendmsg(left[first : first + _GATHERED])
        while first < len(left) and sent >= len(left[first]):
            sent -= len(left[first])
            first += 1
        if sent:
            left[first] = left[first][sent:]


@dataclass(slots=True)
class Ledger:
    """What all clients note; a list's append is atomic."""

    done: list[tuple[float, float, int]] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    first: list[tuple[list[int], list[Vector]]] = field(default_factory=list)
    answer_bytes: list[int] = field(default_factory=list)


class Client(threading.Thread):
    """A closed loop: the next request goes out when the last one was answered."""

    def __init__(self, number: int, order: Order, wire: Wire, ledger: Ledger) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._order, self._wire, self._ledger = order, wire, ledger
        self._random = random.Random(SEED + number)
        self._serial = number * 10**12
        self._connection = Connection(order.url, wire)
        self._fresh = True
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            self._ask_on()
        finally:
            self._connection.close()

    def _ask_on(self) -> None:
        failures = 0
        while not self.stopping.is_set() and failures < MAX_FAILURES:
            began = time.monotonic()
            try:
                self._request(began)
            except (OSError, BrokenAnswer, ValueError, KeyError, TypeError) as error:
                failures += 1
                self._connection.close()
                self._ledger.failures.append((time.monotonic(), f"{type(error).__name__}: {error}"))
                self.stopping.wait(0.1)

    def _request(self, began: float) -> None:
        count = self._random.randint(self._order.least, self._order.most)
        offset = self._random.randrange(len(self._order.files))
        photographs = [(offset + place) % len(self._order.files) for place in range(count)]
        answer = self._connection.ask(self._wire.buffers(photographs, self._serial))
        ended = time.monotonic()
        self._serial += count
        if not self._wire.intact(answer, count):
            raise BrokenAnswer(f"not {count} results: {answer[-200:].decode(errors='replace')}")
        self._ledger.done.append((ended, ended - began, count))
        if self._fresh:
            self._fresh = False
            self._read_fully(photographs, answer)

    def _read_fully(self, photographs: list[int], answer: bytes) -> None:
        self._ledger.answer_bytes.append(len(answer) // len(photographs))
        if self._order.wire == "spoiled":
            return
        vectors = self._wire.vectors(answer)
        if len(vectors) != len(photographs) or not np.isfinite(np.array(vectors)).all():
            raise BrokenAnswer("the first answer has vectors that are missing or no numbers")
        self._ledger.first.append((photographs, vectors))


def usage(server: psutil.Process) -> Usage:
    """Read the clock and the CPU seconds of the server with its children, of this process, and
    of the whole machine."""
    machine = psutil.cpu_times()
    busy = machine.user + machine.nice + machine.system + machine.irq + machine.softirq
    return Usage(time.monotonic(), tree_seconds(server), time.process_time(), busy)


def tree_seconds(server: psutil.Process) -> float:
    """Return the CPU seconds of a process and of all its children that still run."""
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def agreed(first: Sequence[tuple[list[int], list[Vector]]]) -> tuple[dict[int, Vector], float]:
    """Return one vector for each photograph, and the lowest cosine to it in any other place.

    The same photograph must have the same vector in every request and at every place in it: a
    server that mixes up answers is caught here.
    """
    known: dict[int, Vector] = {}
    lowest = 1.0
    for photographs, vectors in first:
        for photograph, vector in zip(photographs, vectors, strict=True):
            lowest = min(lowest, cosine(known.setdefault(photograph, vector), vector))
    return known, lowest


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors of one length."""
    left, right = np.array(one, np.float64), np.array(other, np.float64)
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


def run(order: Order) -> Result:
    """Warm up, measure for the window, and leave; requests in flight at its end do not count."""
    checked_target(order.url)
    wire = wire_named(order.wire, [Path(file).read_bytes() for file in order.files])
    server, ledger = psutil.Process(order.server_pid), Ledger()
    clients = [Client(number, order, wire, ledger) for number in range(order.clients)]
    for client in clients:
        client.start()
    pause = threading.Event()
    pause.wait(order.warm_seconds)
    begin = usage(server)
    pause.wait(order.seconds)
    end = usage(server)
    for client in clients:
        client.stopping.set()
    deadline = end.clock + order.drain_seconds
    for client in clients:
        client.join(max(0.0, deadline - time.monotonic()))
    return summed(ledger, begin, end)


def summed(ledger: Ledger, begin: Usage, end: Usage) -> Result:
    """Put together what happened between two readings. Failures count from the start on."""
    vectors, lowest = agreed(list(ledger.first))
    failures = list(ledger.failures)
    return Result(
        window=end.clock - begin.clock,
        completed=[
            (ended - begin.clock, seconds, images)
            for ended, seconds, images in list(ledger.done)
            if begin.clock <= ended < end.clock
        ],
        failed=len(failures),
        faults=dict(Counter(text[:200] for _, text in failures).most_common(3)),
        server_cpu=end.server - begin.server,
        client_cpu=end.client - begin.client,
        machine_cpu=end.machine - begin.machine,
        vectors=vectors,
        lowest_agreement=lowest,
        answer_bytes=max(ledger.answer_bytes, default=0),
    )


def main() -> None:
    """Read an order, carry it out, write the result."""
    result = run(Order(**json.load(sys.stdin)))
    json.dump(asdict(result), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # clients still wait for answers that nobody needs


if __name__ == "__main__":
    main()
