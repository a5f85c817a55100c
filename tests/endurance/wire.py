"""A client that costs next to nothing: bytes made once, one small protocol, no library in the way.

On a small machine the client shares the cores with the server, so what the client burns is taken
from what it measures.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast

from embedding_contract.endpoints import EMBED_PATH
from load.generator import BOUNDARY, multipart
from load.photographs import Photograph

MAX_CONNECTIONS: Final = 512
NOT_CONNECTED: Final = b"not connected"
"""The body of a reply that stands for: nobody took the connection."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes. With `expect` the body waits for the server's 100 Continue."""

    head: bytes
    body: bytes
    expect: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Times are seconds from the first byte sent; `status` 0 means: no whole answer.

    `ended` is the loop's clock. `retry_after` is None where the answer has none.
    """

    status: int
    head_seconds: float
    seconds: float
    ended: float
    retry_after: int | None
    body: bytes


Heard = Callable[[Reply], None]


def embed_request(images: Iterable[Photograph], *, expect: bool = False) -> Request:
    """Return an upload of `images` to POST /embed."""
    body = multipart(list(images))
    lines = [
        f"POST {EMBED_PATH} HTTP/1.1",
        "host: localhost",
        f"content-type: multipart/form-data; boundary={BOUNDARY}",
        f"content-length: {len(body)}",
        *(["expect: 100-continue"] if expect else []),
    ]
    return Request("\r\n".join([*lines, "", ""]).encode(), body, expect)


class Connection(asyncio.Protocol):
    """One connection that carries one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle: Callable[["Connection"], None]):
        self._loop = loop
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._heard: Heard | None = None
        self._request: Request | None = None
        self._bytes = bytearray()
        self._body_sent = False
        self._begun = self._head_at = 0.0

    @property
    def usable(self) -> bool:
        """Whether the next request may be sent: connected, nothing under way, all bytes out."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and self._heard is None
            and transport.get_write_buffer_size() == 0
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def send(self, request: Request, heard: Heard) -> None:
        """Send one request; `heard` is called once, whatever happens."""
        assert self._transport is not None
        self._request, self._heard = request, heard
        self._bytes.clear()
        self._head_at = 0.0
        self._begun = self._loop.time()
        self._body_sent = not request.expect
        self._transport.write(request.head)
        if self._body_sent:
            self._transport.write(request.body)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while self._heard is not None and self._take():
            continue

    def connection_lost(self, error: Exception | None) -> None:
        if self._heard is not None:
            self._tell(0, None, b"")

    def close(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bool:
        """Take one answer out of what came; True when there may be another one behind it."""
        head, found, rest = bytes(self._bytes).partition(b"\r\n\r\n")
        if not found:
            return False
        if not self._head_at:
            self._head_at = self._loop.time()
        status = int(head[9:12])
        if status == 100:
            self._bytes[:] = rest
            self._head_at = 0.0
            self._send_body()
            return True
        length = _LENGTH.search(head)
        size = int(length.group(1)) if length else 0
        if len(rest) < size:
            return False
        self._bytes.clear()
        self._end(status, head, rest[:size])
        return False

    def _send_body(self) -> None:
        assert self._request is not None
        assert self._transport is not None
        self._transport.write(self._request.body)
        self._body_sent = True

    def _end(self, status: int, head: bytes, body: bytes) -> None:
        closing = _CLOSE.search(head) is not None or not self._body_sent
        retry = _RETRY.search(head)
        if closing:  # a body that was announced and not sent leaves the connection unusable
            self.close()
        self._tell(status, int(retry.group(1)) if retry else None, body)
        if not closing:
            self._idle(self)

    def _tell(self, status: int, retry_after: int | None, body: bytes) -> None:
        heard, self._heard = self._heard, None
        assert heard is not None
        now = self._loop.time()
        head_at = self._head_at or now
        heard(Reply(status, head_at - self._begun, now - self._begun, now, retry_after, body))


class Client:
    """Keeps connections to one port of this machine, and opens more when all are in use."""

    def __init__(self, port: int, connections: int = MAX_CONNECTIONS) -> None:
        self._port = port
        self._limit = connections
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.busy = 0
        """Requests under way."""
        self.quiet = asyncio.Event()
        """Set while no request is under way."""
        self.skipped = 0
        """Requests that were not sent, because all connections were in use."""

    def send(self, request: Request, heard: Heard) -> None:
        """Send one request on a free connection, or on a new one."""
        connection = self._free()
        if connection is None and self.busy >= self._limit:
            self.skipped += 1
            return
        self.busy += 1
        self.quiet.clear()

        def ended(reply: Reply) -> None:
            self.busy -= 1
            if not self.busy:
                self.quiet.set()
            heard(reply)

        if connection is not None:
            connection.send(request, ended)
            return
        task = self._loop.create_task(self._open(request, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, request: Request) -> Reply:
        """Send one request and wait for its answer."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send(request, future.set_result)
        return await future

    def close(self) -> None:
        """Drop every connection."""
        for connection in self._all:
            connection.close()

    def _free(self) -> Connection | None:
        for _ in range(len(self._idle)):
            connection = self._idle.pop()
            if connection.usable:
                return connection
            if connection._transport is not None and not connection._transport.is_closing():
                self._idle.appendleft(connection)  # its last body is still on its way out
            else:
                self._all.discard(connection)
        return None

    async def _open(self, request: Request, heard: Heard) -> None:
        begun = self._loop.time()
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop, self._idle.append), "127.0.0.1", self._port
            )
        except OSError:
            now = self._loop.time()
            heard(Reply(0, now - begun, now - begun, now, None, NOT_CONNECTED))
            return
        self._all.add(connection)
        if connection.usable:
            connection.send(request, heard)
        else:  # it was taken and closed in the same moment
            now = self._loop.time()
            heard(Reply(0, now - begun, now - begun, now, None, b""))
