"""One connection with limits on what a slow peer may hold. uvicorn bounds only idle connections.

A peer that opens a connection and sends half a head, goes on sending a body that was refused, or
never reads its answer, costs a descriptor and some memory; here each of them has an end.
"""

import asyncio
import resource
from collections.abc import Iterable
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 20.0
"""From the first byte of a request's head to its last one."""
MAX_HEAD_BYTES: Final = 64 * 1024
"""Counted in whole reads: a head that came at once may be somewhat larger."""
UNREAD_BODY_SECONDS: Final = 20.0
"""How long a body may go on coming after its answer."""
ANSWER_GRACE_SECONDS: Final = 20.0
MIN_BYTES_PER_SECOND: Final = 64 * 1024
"""An answer must be taken within ANSWER_GRACE_SECONDS plus its bytes at this rate."""
LAST_BYTES_SECONDS: Final = 2.0
"""A connection that ends may take this long to get its last bytes out."""
LEAVING_SECONDS: Final = 0.5
"""An idle connection stays this long when the server drains: a request may be on its way."""
MAX_CONNECTIONS: Final = 8192
OWN_DESCRIPTORS: Final = 256
"""Descriptors kept back for everything that is not a client's connection."""


def connection_limit(descriptors: int) -> int:
    """Return how many connections may be open when the process may have `descriptors`."""
    return max(1, min(MAX_CONNECTIONS, descriptors - min(OWN_DESCRIPTORS, descriptors // 2)))


class BoundedConnection(HttpToolsProtocol):
    """Satisfies uvicorn's protocol. Its clocks run only while a peer keeps the server waiting."""

    limit = connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waits_for = ""
        self._clock: asyncio.TimerHandle | None = None
        self._answer_clock: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = self._in_body = False
        self._refused = self._leaving = False
        self._idle_since = 0.0

    # What the transport says

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room, and give the peer as long as an idle one to begin."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._look()
        if len(self.connections) > self.limit:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take bytes in, then see what is still missing."""
        if self._refused:
            return
        super().data_received(data)
        if self.transport.is_closing():
            self._watch("", 0.0)
            return
        self._look()
        if self._waits_for == "head":
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, "request_headers_too_large", "the head of the request is too big")
        else:
            self._head_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every clock."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._watch("", 0.0)
        self._stop_answer_clock()

    def pause_writing(self) -> None:
        """The peer does not read as fast as the answer is written."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        """The peer reads."""
        super().resume_writing()
        self._stop_answer_clock()

    # What the parser and the request say

    def on_message_begin(self) -> None:
        """The first byte of a head came."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request begins; its body is the application's to wait for."""
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here."""
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written, perhaps not sent; the body may still be coming."""
        if self.transport.get_write_buffer_size():
            self._watch_answer()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's clock; the one here covers it
        self._idle_since = self.loop.time()
        if not self.transport.is_closing():
            self._look()

    def shutdown(self) -> None:
        """Let a request that is on its way come in, then close an idle connection."""
        self._leaving = True
        if not self._idle():
            self.cycle.keep_alive = False
        elif not self._in_head:
            self._watch("a last request", LEAVING_SECONDS)

    # The clocks

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        """See what the peer still owes, and give it a time."""
        if self._in_body:
            owes_body = self.cycle is not None and self.cycle.response_complete
            self._watch("body" if owes_body else "", UNREAD_BODY_SECONDS)
        elif not self._idle():
            self._watch("", 0.0)
        elif self._in_head:
            self._watch("head", HEAD_SECONDS)
        elif self._leaving:
            self._watch("a last request", LEAVING_SECONDS)
        else:
            self._watch("a request", self.timeout_keep_alive)

    def _watch(self, what: str, seconds: float) -> None:
        """Wait for one thing; a clock that runs for it goes on, whatever trickles in."""
        if what == self._waits_for:
            return
        if self._clock is not None:
            self._clock.cancel()
        self._waits_for = what
        self._clock = self.loop.call_later(seconds, self._late) if what else None

    def _late(self) -> None:
        waited, self._waits_for, self._clock = self._waits_for, "", None
        if self.transport.is_closing():
            return
        if waited == "head":
            self._refuse(408, "request_timeout", "the head of the request came too slowly")
        else:
            self._close()

    def _watch_answer(self) -> None:
        if self._answer_clock is None:
            allowed = self.transport.get_write_buffer_size() / MIN_BYTES_PER_SECOND
            self._answer_clock = self.loop.call_later(
                ANSWER_GRACE_SECONDS + allowed, self._answer_late, self._answered()
            )

    def _answered(self) -> int:
        """Count requests of this connection: an answer is late only while it is the last one."""
        return id(self.cycle)

    def _answer_late(self, answer: int) -> None:
        self._answer_clock = None
        if not self.transport.get_write_buffer_size():
            return
        if self.flow.write_paused or answer == self._answered():
            self.transport.abort()
        else:  # a later answer is on its way: it has its own time
            self._watch_answer()

    def _stop_answer_clock(self) -> None:
        if self._answer_clock is not None:
            self._answer_clock.cancel()
            self._answer_clock = None

    # The end

    def _make_room(self) -> None:
        """Give up the connection that has been idle longest; this one, where all are at work."""
        others = _idle_ones(one for one in self.connections if one is not self)
        longest = min(others, key=lambda one: one._idle_since, default=self)
        longest.transport.abort()
        self.connections.discard(longest)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer where no application could: no request was complete."""
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        body = orjson.dumps({"error": error})
        phrase = {408: "Request Timeout", 431: "Request Header Fields Too Large"}[status]
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._refused = True
        self._watch("", 0.0)
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        # Closing at once would reset what the peer still sends, and it might not read why.
        self.loop.call_later(LAST_BYTES_SECONDS, self.transport.abort)

    def _close(self) -> None:
        """Close, and do not wait for ever for a peer that reads nothing."""
        if self.transport.is_closing():
            return
        self.transport.close()
        self.loop.call_later(LAST_BYTES_SECONDS, self.transport.abort)


def _idle_ones(connections: Iterable[Any]) -> list[BoundedConnection]:
    return [one for one in connections if isinstance(one, BoundedConnection) and one._idle()]
