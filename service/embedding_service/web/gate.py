"""The gate before the routes that cost: readiness, size, deadline, permit, disconnect.

A refusal is decided before the body is read. The permit is given back when the answer starts: a
slow reader holds a connection, not a place in the engine. A client whose body does not come lends
its permit to others meanwhile.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedding_contract.endpoints import EMBED_PATH, OPENAI_PATH
from embedding_service.engine.deadline import before
from embedding_service.web.body import WATCHED_BYTES, Body, declared_bytes, too_large
from embedding_service.web.claim import begin_claim, claim_of, estimated_items
from embedding_service.web.failures import ClientGone
from embedding_service.web.serving import Embedder, Serving
from embedding_service.web.trace import trace_of

WORK_PATHS: Final = (EMBED_PATH, OPENAI_PATH)


def is_work(scope: Scope) -> bool:
    """Say whether the request asks for vectors: only these are admitted, counted and logged."""
    return scope["method"] == "POST" and scope["path"] in WORK_PATHS


class Gate:
    """ASGI middleware; everything but work passes untouched."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or raise why not."""
        if scope["type"] != "http" or not is_work(scope):
            await self._app(scope, receive, send)
            return
        arrived = time.monotonic()
        embedder = self._serving.accepting()
        headers = Headers(scope=scope)
        begin_claim(scope, headers, self._serving.settings, arrived)
        limit = self._serving.settings.max_request_bytes
        size = declared_bytes(headers)
        if limit < size < float("inf"):
            raise too_large(limit)
        task = asyncio.current_task()
        assert task is not None

        def leave() -> None:
            task.cancel()

        body = Body(
            receive,
            limit_bytes=limit,
            watched=size <= WATCHED_BYTES and "expect" not in headers,
            on_gone=leave,
        )
        try:
            await self._work(scope, body, send, embedder)
        except asyncio.CancelledError:
            if not body.gone:
                raise
            task.uncancel()
            raise ClientGone from None
        finally:
            body.close()

    async def _work(self, scope: Scope, body: Body, send: Send, embedder: Embedder) -> None:
        """Wait for a permit and hold it until the answer starts, both before the deadline."""
        claim = claim_of(scope)
        items = estimated_items(scope["path"], Headers(scope=scope))
        async with before(claim.deadline) as expiry, AsyncExitStack() as held:

            async def take() -> None:
                with trace_of(scope).span("wait"):
                    timeout = self._serving.settings.queue_timeout_seconds
                    permit = claim.permit(embedder.admission, timeout, items)
                    await held.enter_async_context(permit)

            await take()
            body.holds(lend=held.aclose, take=take)

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    expiry.reschedule(None)
                    body.close()
                    await held.aclose()
                await send(message)

            await self._app(scope, body.receive, answer)
