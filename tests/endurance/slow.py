"""Slow clients beside normal ones: they hold no lane and no permit, and each of them has an end."""

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from embedding_contract.endpoints import EMBED_PATH
from endurance.pictures import picture
from endurance.process import ServerProcess
from endurance.targets import Row, target
from endurance.wire import Client, embed_request

TURNS = 3
"""The rate is taken in turns without and with slow clients: a drifting machine hurts both."""
BOUND_SECONDS = 45.0
"""Slow bodies, heads and readers are ended by then; the server allows 20 s and a rate."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many slow clients of each kind."""

    bodies: int = 30
    heads: int = 30
    readers: int = 10
    idle: int = 200


@dataclass(slots=True)
class Found:
    """What came of it. Rates are requests a second; `ends`: seconds until the server ended one."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    failed: int = 0
    permits_held: float = 0.0
    ends: dict[str, list[float]] = field(default_factory=dict)


class SlowClient:
    """One connection that keeps the server waiting. `ended` is set once the server gave it up."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self._port = port
        self.began = 0.0
        self.ended_after: float | None = None
        self.answer = b""

    async def run(self) -> None:
        """Be slow until the server ends it."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        self.began = time.monotonic()
        try:
            await _WAYS[self.kind](self, reader, writer)
        except OSError:  # it was reset: that is an end as well
            self.ended_after = time.monotonic() - self.began
        finally:
            writer.transport.abort()

    async def drip(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes
    ) -> None:
        """Send `first`, then a byte a second, until the server answers or closes."""
        writer.write(first)
        answering = asyncio.create_task(reader.read(200))
        while not answering.done():
            await asyncio.wait({answering}, timeout=1.0)
            if not answering.done():
                writer.write(b"x")
                await writer.drain()
        self.answer = await answering
        self.ended_after = time.monotonic() - self.began


async def _slow_body(one: SlowClient, r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
    head = (
        f"POST {EMBED_PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\ncontent-disposition: form-data; name="files"; filename="x.jpg"\r\n\r\n'
    )
    await one.drip(r, w, head.encode())


async def _slow_head(one: SlowClient, r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
    await one.drip(r, w, f"POST {EMBED_PATH} HTTP/1.1\r\nhost: x\r\nx-slow: ".encode())


async def _slow_reader(one: SlowClient, r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
    """Ask for far more than the kernel holds for it, and read nothing."""
    w.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(2000):
        w.write(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
    raw = w.get_extra_info("socket")
    # It is told by nobody: who does not read hears of the end only when asking the socket.
    while raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and not w.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    one.ended_after = time.monotonic() - one.began


async def _idle(one: SlowClient, r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
    one.answer = await r.read(1)
    one.ended_after = time.monotonic() - one.began


_WAYS: dict[str, Callable[..., "asyncio.Future[None]"]] = {
    "body": _slow_body,  # type: ignore[dict-item]
    "head": _slow_head,  # type: ignore[dict-item]
    "reader": _slow_reader,  # type: ignore[dict-item]
    "idle": _idle,  # type: ignore[dict-item]
}


def run(server: ServerProcess, crowd: Crowd, turn_seconds: float) -> Found:
    """Measure the rate of normal clients alone and beside a crowd; then see the crowd end."""
    return asyncio.run(_run(server, crowd, turn_seconds))


async def _run(server: ServerProcess, crowd: Crowd, turn_seconds: float) -> Found:
    found = Found()
    client = Client(server.port)
    await rate(client, turn_seconds / 2, found)
    for _ in range(TURNS):
        found.alone.append(await rate(client, turn_seconds, found))
        members, tasks = gather_crowd(server.port, crowd)
        await asyncio.sleep(1)  # the permits that they were given are lent by now
        held = await asyncio.to_thread(server.metric, "embedding_inflight_requests")
        found.permits_held = max(found.permits_held, held)
        found.beside.append(await rate(client, turn_seconds, found))
        await _await_end(members, tasks, found)
    client.close()
    return found


def gather_crowd(port: int, crowd: Crowd) -> tuple[list[SlowClient], list["asyncio.Task[None]"]]:
    """Start the slow clients."""
    kinds = {"body": crowd.bodies, "head": crowd.heads, "reader": crowd.readers, "idle": crowd.idle}
    members = [SlowClient(kind, port) for kind, count in kinds.items() for _ in range(count)]
    return members, [asyncio.create_task(one.run()) for one in members]


async def rate(client: Client, seconds: float, found: Found) -> float:
    """Return requests a second of four normal clients in a closed loop."""
    loop = asyncio.get_running_loop()
    request = embed_request([picture(320, 240, seed) for seed in range(2)])
    end = loop.time() + seconds
    answered = 0

    async def one() -> None:
        nonlocal answered
        while loop.time() < end:
            reply = await client.ask(request)
            found.failed += reply.status != 200
            answered += reply.status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(one())
    return answered / seconds


async def _await_end(
    members: Sequence[SlowClient], tasks: Sequence["asyncio.Task[None]"], found: Found
) -> None:
    """Wait for the bound; idle connections may stay longer, they are only given up here."""
    slow = [task for task, one in zip(tasks, members, strict=True) if one.kind != "idle"]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BOUND_SECONDS):
            await asyncio.wait(slow)
    for task, one in zip(tasks, members, strict=True):
        task.cancel()
        if one.kind != "idle":
            lasted = float("inf") if one.ended_after is None else one.ended_after
            found.ends.setdefault(one.kind, []).append(lasted)
    await asyncio.gather(*tasks, return_exceptions=True)


def judge(found: Found) -> list[Row]:
    """Hold what was seen to the promises."""
    ratio = statistics.median(found.beside) / statistics.median(found.alone)
    rows = [
        target("slow clients: rate of normal ones beside them", "ratio", 0.9, ratio, ">="),
        target("slow clients: normal requests failed", "requests", 0, found.failed, "=="),
        target("slow clients: permits that they hold", "permits", 0, found.permits_held, "=="),
    ]
    for kind, ends in found.ends.items():
        rows.append(target(f"slow {kind}: the last one ended after", "s", BOUND_SECONDS,
                           max(ends), "<="))  # fmt: skip
    return rows
