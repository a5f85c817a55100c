"""One request's body while it comes in: bounded in bytes and in time, with an eye on the client."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.types import Message, Receive

from embedding_service.errors import ClientFault

GRACE_SECONDS: Final = 20.0
"""A body, or the first WATCHED_BYTES of a bigger one, must be there within this time."""
BULK_GRACE_SECONDS: Final = 10.0
MIN_BYTES_PER_SECOND: Final = 64 * 1024
"""The rest may take BULK_GRACE_SECONDS plus its bytes at this rate: it holds a permit."""

LAG_SECONDS: Final = 0.25
"""A request whose first bytes do not come for this long lends its permit to others."""

WATCHED_BYTES: Final = 64 * 1024
"""A body up to this size is taken in while the request waits for its permit, because only then
the server sees that the client left. Bigger ones stay with the client until a permit is there."""

Step = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """Before a permit is asked for there is none to lend or to take."""


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
        self._since: float | None = None
        self._early_bytes = 0
        self._lend: Step = _nothing
        self._take: Step = _nothing
        self._lent = False

    def holds(self, *, lend: Step, take: Step) -> None:
        """The request has a permit now: `lend` gives it back, `take` gets one again.

        A client that sends its first bytes slowly must not hold a permit. What came without one is
        at most WATCHED_BYTES and what one read of the socket brings.
        """
        self._lend, self._take = lend, take

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
        if self._lent and (self._complete or not self._early):
            self._lent = False
            await self._take()
        return message

    @property
    def _early(self) -> bool:
        """Too little came to be worth a permit."""
        return self._received < WATCHED_BYTES

    async def _next_in_time(self) -> Message:
        now = time.monotonic()
        if self._since is None or (not self._early and not self._early_bytes):
            self._since = now
            self._early_bytes = self._received
        allowed = GRACE_SECONDS
        if not self._early:
            allowed = BULK_GRACE_SECONDS
            allowed += (self._received - self._early_bytes) / MIN_BYTES_PER_SECOND
        try:
            return await self._next(self._since + allowed - now)
        except TimeoutError:
            message = (
                f"the body came too slowly: {self._received} bytes; send at least "
                f"{MIN_BYTES_PER_SECOND // 1024} KiB a second"
            )
            raise ClientFault(408, "request_timeout", message) from None

    async def _next(self, seconds: float) -> Message:
        """Return the next message within `seconds`; lend the permit when it does not come soon."""
        if self._early and not self._lent and seconds > LAG_SECONDS:
            try:
                return await self._message(LAG_SECONDS)
            except TimeoutError:
                self._lent = True
                await self._lend()
            seconds -= LAG_SECONDS
        return await self._message(seconds)

    async def _message(self, seconds: float) -> Message:
        async with asyncio.timeout(seconds):
            return await (self._taken.get() if self._watched else self._source())

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
