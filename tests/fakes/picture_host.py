"""A real HTTP/1.1 server on loopback whose answers are written byte by byte by the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def plain(
    body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str
) -> Answer:
    """Return an answer that is sent at once; `content_type` becomes Content-Type."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def redirect(location: str, status: str = "302 Found") -> Answer:
    return plain(status=status, Location=location)


def raw(data: bytes) -> Answer:
    """Return an answer of exactly these bytes, after which the connection is closed."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return answer


@dataclass
class PictureHost:
    """What was asked and how often somebody connected."""

    routes: dict[str, Answer] = field(default_factory=dict)
    address: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/", host: str = "") -> str:
        return f"http://{host or self.address}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                await self._one(await reader.readuntil(b"\r\n\r\n"), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()
            self.tasks.discard(task)

    async def _one(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        path = request.split(b" ", 2)[1].decode()
        self.asked.append(path)
        self.requests.append(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            answer = self.routes.get(path.partition("?")[0], plain(status="404 Not Found"))
            await answer(writer)
        finally:
            self.open -= 1


@asynccontextmanager
async def picture_host(
    routes: dict[str, Answer] | None = None,
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[PictureHost]:
    """Serve `routes` on a free port of `address`, which is a loopback address."""
    host = PictureHost(routes if routes is not None else {}, address)
    server = await asyncio.start_server(host.serve, address, 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
        for task in list(host.tasks):
            task.cancel()
        await asyncio.gather(*host.tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # transports that were let go close in the next turn of the loop
