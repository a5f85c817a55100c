"""The outermost layer: request id, Server-Timing, outcome, failures, and one log line a request."""

import asyncio
import logging
import time
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedding_service.web.body import declared_bytes
from embedding_service.web.failures import ClientGone, failure_of, is_expected, outcome_of
from embedding_service.web.gate import is_work
from embedding_service.web.serving import Phase, Serving
from embedding_service.web.trace import Trace, begin_trace
from embedding_service.web.tracing import is_traced

DISCARDED_BYTES: Final = 1024 * 1024
"""An unread body up to this size is thrown away and the connection kept; else it is closed."""
LINGER_SECONDS: Final = 1.0
"""How long a refused client may go on sending before the connection is closed: closing at once
would reset it, and the client might never read why it was refused."""
LOGGED_CHARACTERS: Final = 256
"""Of a path, which is the client's own text."""

_log = logging.getLogger("embedding_service.requests")


class Envelope:
    """ASGI middleware around everything: whatever happens inside becomes one proper answer."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._serving, scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except (ClientGone, ClientDisconnect):
            exchange.finish("cancelled")
        except asyncio.CancelledError:  # the drain ran out of time
            exchange.finish("cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - the last place where an error can be answered
            await exchange.fail(error)
        finally:
            exchange.write_log()
            exchange.end_span()


class _Exchange:
    """One request and its answer."""

    def __init__(self, serving: Serving, scope: Scope, receive: Receive, send: Send) -> None:
        self._serving = serving
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trace: Trace = begin_trace(scope)
        tracing = serving.tracing if is_traced(scope) else None
        self._span = None if tracing is None else tracing.begin(scope, self._trace)
        self._work = is_work(scope)
        self._body_complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._body_complete = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._trace.status = message["status"]
            self.finish(outcome_of(message["status"]))
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._trace.request_id
            headers["server-timing"] = self._trace.server_timing()
            if self._leaving():
                headers["connection"] = "close"  # the client's next request goes to another pod
        await self._send(message)

    def finish(self, outcome: str) -> None:
        """Count the request once, when its outcome is known."""
        if self._trace.outcome:
            return
        self._trace.outcome = outcome
        if self._work:
            self._serving.instruments.request_finished(outcome, self._trace.seconds())

    async def fail(self, error: Exception) -> None:
        """Answer with the failure; the reason of our own fault goes to the log."""
        if not is_expected(error):
            _log.error("request failed", exc_info=error, extra=self._notes())
        if self._trace.status:  # the answer is on its way: only the connection can be given up
            raise error
        failure = failure_of(error)
        self._trace.code = failure.code
        response = failure.response()
        unread = self._unread_bytes()
        patient = unread <= DISCARDED_BYTES and failure.status != HTTPStatus.REQUEST_TIMEOUT
        if unread == 0 or (patient and not self._will_close()):
            await response(self._scope, self._receive, self.send)
            return
        response.headers["connection"] = "close"
        await response(self._scope, self._receive, self._send_all_but_the_end)
        await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _leaving(self) -> bool:
        return self._serving.phase in (Phase.LEAVING, Phase.DRAINING)

    def _will_close(self) -> bool:
        """Say whether the connection ends with this answer."""
        asked = Headers(scope=self._scope).get("connection", "").lower()
        return self._leaving() or "close" in asked or self._scope["http_version"] == "1.0"

    def _unread_bytes(self) -> float:
        return 0 if self._body_complete else declared_bytes(Headers(scope=self._scope))

    async def _send_all_but_the_end(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            message["more_body"] = True
        await self.send(message)

    async def _linger(self) -> None:
        """Throw away what the client still sends, for a moment."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._body_complete:
                    await self.receive()
        except TimeoutError:
            return

    def write_log(self) -> None:
        """Write one line for each piece of work, and for every fault of ours."""
        if self._work or self._trace.outcome == "server_fault":
            _log.info("request", extra=self._notes())

    def end_span(self) -> None:
        """End the span, if the request is traced; it is sent later, by another thread."""
        if self._span is not None:
            self._span.finish(self._trace)

    def _notes(self) -> dict[str, object]:
        trace = self._trace
        return {
            "request_id": trace.request_id,
            **({"trace_id": trace.trace_id} if trace.trace_id else {}),
            "method": self._scope["method"],
            "path": self._scope["path"][:LOGGED_CHARACTERS],
            "status": trace.status,
            "outcome": trace.outcome,
            "code": trace.code,
            "seconds": round(time.perf_counter() - trace.started, 6),
            "items": trace.items,
            "failed_items": trace.failed_items,
        }
