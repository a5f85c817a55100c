"""The web room around a fake pipeline, asked without a socket or over a real one."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from embedding_contract.report import TuningReport
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web.app import create_app
from embedding_service.web.lifecycle import QuietServer, server_config
from embedding_service.web.serving import Embedder, Serving
from embedding_service.web.tracing import Tracing
from fakes.pipeline import FakePipeline


class FixedReporter:
    """A tuning watch that never sees a file."""

    stopped: str | None = None

    def __init__(self, settings: ServerSettings) -> None:
        initial = settings.initial
        self.report = TuningReport(settings.pod_name, None, initial, initial, 1.0)


def settings_with(**values: object) -> ServerSettings:
    """Return settings for tests; `values` are fields. Nothing is fetched unless a test says so."""
    fields: dict[str, Any] = {
        "model": "fake", "pretrained": "none", "drain_seconds": 2.0, "fetch_urls": "none",
    }  # fmt: skip
    return ServerSettings(**(fields | values))


@dataclass
class Web:
    """The web room under test."""

    settings: ServerSettings
    serving: Serving
    pipeline: FakePipeline
    instruments: Instruments

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send one request without a socket."""
        return asyncio.run(self._ask(method, path, request))

    async def _ask(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=self.transport(), base_url="http://web") as client:
            return await client.request(method, path, **request)

    def transport(self) -> httpx.ASGITransport:
        """Return the transport of a client without a socket."""
        return httpx.ASGITransport(create_app(self.serving))

    def count(self, name: str, **labels: str) -> float:
        """Return the value of one sample of the metrics, 0 when there is none."""
        return self.instruments.registry.get_sample_value(name, labels) or 0.0


def web_with(
    embedder: Embedder | None = None,
    *,
    ready: bool = True,
    tracing: Tracing | None = None,
    **values: object,
) -> Web:
    """Build the web room; a fake pipeline unless one is given."""
    settings = settings_with(**values)
    instruments = Instruments(CollectorRegistry())
    serving = Serving(settings, instruments, tracing)
    pipeline = FakePipeline(settings)
    if ready:
        serving.serve(embedder or pipeline, FixedReporter(settings))
    return Web(settings, serving, pipeline, instruments)


@asynccontextmanager
async def over_socket(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    """Serve on a loopback socket of this event loop and give a client of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    # uvloop, on which the server runs, does this itself; without it each answer takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = QuietServer(server_config(web.serving))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await task


@contextmanager
def in_thread(web: Web) -> Iterator[str]:
    """Serve on a loopback socket in a thread of its own and give the address, for clients that
    block."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = QuietServer(server_config(web.serving))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the error of an answer, which must have OpenAI's shape."""
    document = json.loads(answer.content)
    assert set(document) == {"error"}
    error: dict[str, Any] = document["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error
