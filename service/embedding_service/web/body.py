"""One request's body while it comes in: bounded in bytes and in time, with an eye on the client."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.types import Message, Receive

from embedding_service.errors import ClientFault

GRACE_SECONDS: Final = 20.0
MIN_BYTES_PER_SECOND: Final = 64 * 1024
"""A body may take GRACE_SECONDS plus its bytes at this rate: a request that holds a permit must
not hold it by sending one byte a minute."""

WATCHED_BYTES: Final = 64 * 1024
"""A body up to this size is taken in while the request waits for its permit, because only then
the server sees that the client left. Bigger ones stay with the client until a permit is there."""


def too_large(limit_bytes: int) -> ClientFault:
    """Return the fault of a body over the limit."""
    message = f"the request is larger than {limit_bytes} bytes, which is the limit"
    return ClientFault(413, "request_too_large", message)


def declared_bytes(headers: Mapping[str, str]) -> float:
    """Return the size of the body as the headers say; infinity when they do not say."""
    if "transfer-encoding" in headers:
        return float("inf")
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else float("inf")


class Body:
    """Stands between the connection and the application."""

    def __init__(
        self, receive: Receive, *, limit_bytes: int, watched: bool, on_gone: Callable[[], None]
    ) -> None:
        """Take over `receive`.

        Args:
            receive: the connection's own.
            limit_bytes: more than this is refused while it comes in.
            watched: take the body in at once and watch for the client from the start.
            on_gone: called once when the client has left and the answer is not on its way.
        """
        self._source = receive
        self._limit = limit_bytes
        self._on_gone = on_gone
        self._taken: asyncio.Queue[Message] = asyncio.Queue()
        self._watched = watched
        self._watch = asyncio.create_task(self._take_in()) if watched else None
        self._gone = asyncio.Event()
        self._received = 0
        self._complete = False
        self._first_asked: float | None = None

    @property
    def gone(self) -> bool:
        """The client has left."""
        return self._gone.is_set()

    def close(self) -> None:
        """Stop watching: the answer is on its way, or there will be none."""
        if self._watch is not None:
            self._watch.cancel()

    async def receive(self) -> Message:
        """Return the next message, as ASGI's receive.

        Raises:
            ClientFault: 413 over the limit, 408 too slow.
        """
        if self._complete:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        message = await self._next_in_time()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise too_large(self._limit)
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._complete = True
            if self._watch is None:
                self._watch = asyncio.create_task(self._until_gone())
        return message

    async def _next_in_time(self) -> Message:
        if self._first_asked is None:
            self._first_asked = time.monotonic()
        allowed = GRACE_SECONDS + self._received / MIN_BYTES_PER_SECOND
        left = self._first_asked + allowed - time.monotonic()
        try:
            async with asyncio.timeout(left):
                return await (self._taken.get() if self._watched else self._source())
        except TimeoutError:
            message = f"the body came too slowly: {self._received} bytes in {allowed:.0f} seconds"
            raise ClientFault(408, "request_timeout", message) from None

    async def _take_in(self) -> None:
        more = True
        while more:
            message = await self._source()
            self._taken.put_nowait(message)
            if message["type"] == "http.disconnect":
                self._leave()
                return
            more = message.get("more_body", False)
        await self._until_gone()

    async def _until_gone(self) -> None:
        await self._source()  # after the body only a disconnect can come
        self._leave()

    def _leave(self) -> None:
        self._gone.set()
        self._on_gone()
