"""The life of the process: listen at once, load, serve, leave, drain, end."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import uvicorn
from prometheus_client import CollectorRegistry

from embedding_service.engine.pipeline import build_pipeline
from embedding_service.errors import ServiceError
from embedding_service.metrics import Instruments
from embedding_service.retune import Tunable, TuningWatch
from embedding_service.settings import ServerSettings
from embedding_service.web import tracing as tracing_module
from embedding_service.web.app import create_app
from embedding_service.web.connection import BoundedConnection
from embedding_service.web.serving import Embedder, Serving
from embedding_service.web.tracing import Tracing

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle limit of usual clients and proxies, so that they close first."""
CLOSE_SECONDS: Final = 5.0
"""Longest wait for the engine's threads at the end; all work is done or given up by then."""

_log = logging.getLogger(__name__)


class Engine(Embedder, Tunable, Protocol):
    """A warm engine. `engine.pipeline.Pipeline` is the real one."""

    async def close(self) -> None:
        """Finish what is in hand and stop every thread."""


Build = Callable[[ServerSettings, Instruments], Engine]


class CannotListen(ServiceError):
    """The address is taken or is not this machine's."""

    code = "cannot_listen"


class Lifecycle:
    """Runs one server. Signals: SIGTERM leaves gracefully, a second one at once."""

    def __init__(
        self,
        settings: ServerSettings,
        build: Build = build_pipeline,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._build = build
        self._instruments = Instruments(CollectorRegistry())
        self._serving = Serving(settings, self._instruments, tracing)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._server = QuietServer(server_config(self._serving))

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            CannotListen: the address cannot be used.
            ModelUnavailable: the model cannot be loaded.
        """
        self._instruments.watch_loop()
        listener = _listen(self._settings.host, self._settings.port)
        self._catch_signals()
        host, port = listener.getsockname()[:2]
        _log.info("listening", extra={"host": host, "port": port})
        http = asyncio.create_task(self._server.serve(sockets=[listener]))
        keys = self._serving.keys
        renewing = None if keys is None else asyncio.create_task(keys.run())
        try:
            pipeline = await self._load(http)
            if pipeline is not None:
                await self._serve(pipeline, http)
                await _close(pipeline)
        finally:
            self._server.should_exit = True
            await http
            await self._serving.sources.close()
            if renewing is not None:
                renewing.cancel()
            _send_last_spans(self._serving.tracing)

    async def _load(self, http: asyncio.Task[None]) -> Engine | None:
        """Load in a thread, so that probes are answered; None when a signal came first."""
        started = time.monotonic()
        loading = _in_thread(lambda: self._build(self._settings, self._instruments))
        await self._first_of(loading, http)
        if not loading.done():
            return None
        pipeline = loading.result()
        # What was made so far lives as long as the process: never look through it again.
        gc.collect()
        gc.freeze()
        _log.info("model loaded", extra={"seconds": round(time.monotonic() - started, 3)})
        return pipeline

    async def _serve(self, pipeline: Engine, http: asyncio.Task[None]) -> None:
        settings, warmup = self._settings, pipeline.warmup
        watch = TuningWatch(
            pipeline,
            self._instruments,
            directory=settings.tuning_directory,
            pod_name=settings.pod_name,
            initial=settings.started_with(warmup.suggested) if warmup else settings.initial,
        )
        await watch.look()  # ready means: on the generation that is there
        self._serving.serve(pipeline, watch)
        _log.info("ready", extra={"model": pipeline.model.name, "device": pipeline.model.device})
        watching = asyncio.create_task(watch.run())
        ticking = asyncio.create_task(self._serving.activity.run())
        try:
            await self._first_of(http)
            await self._leave(http)
        finally:
            watching.cancel()
            ticking.cancel()

    async def _leave(self, http: asyncio.Task[None]) -> None:
        """Drop out of the endpoints first, then finish what was admitted."""
        self._serving.leave()
        _log.info("leaving", extra={"grace_seconds": self._settings.endpoint_grace_seconds})
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it can lose a cancellation.
            async with asyncio.timeout(self._settings.endpoint_grace_seconds):
                await self._hurry.wait()
        self._serving.drain()
        self._server.should_exit = True
        await http
        _log.info("drained")

    async def _first_of(self, *tasks: asyncio.Future[Any]) -> None:
        """Wait for a signal or for one of `tasks`."""
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Leave gracefully; called again, at once."""
        if self._stop.is_set():
            self._hurry.set()
            self._server.force_exit = True
        self._stop.set()


class QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: it would end the process by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `Lifecycle`."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who got through to the listener, end, and close what is still open then."""
        while accepted := _accept_all(sockets or []):
            for connection in accepted:
                await self._take(connection)
        await super().shutdown(sockets)
        await asyncio.sleep(0)  # a request that was given up says so first
        for left in list(self.server_state.connections):
            left.transport.close()

    async def _take(self, connection: socket.socket) -> None:
        """Serve a connection that the kernel took and the loop had not seen yet."""
        with contextlib.suppress(OSError):  # it is gone already
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: BoundedConnection(
                    config=self.config,
                    server_state=self.server_state,
                    app_state=self.lifespan.state,
                ),
                connection,
            )


def server_config(serving: Serving) -> uvicorn.Config:
    """Return how uvicorn runs the application."""
    settings = serving.settings
    drain_seconds = settings.drain_seconds - settings.endpoint_grace_seconds
    return uvicorn.Config(
        create_app(serving),
        http=BoundedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before the model loads: a port in use must not cost a load."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _accept_all(listeners: Iterable[socket.socket]) -> list[socket.socket]:
    """Return the connections that wait in the listeners: closing these would reset them."""
    accepted = []
    for listener in listeners:
        with contextlib.suppress(OSError):  # BlockingIOError: there is no more
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                accepted.append(connection)
    return accepted


def _in_thread(work: Callable[[], Engine]) -> asyncio.Future[Engine]:
    """Run `work` in a daemon thread: a load cannot be stopped, and must not hold up the exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Engine] = loop.create_future()

    def give(result: Engine | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        elif result is not None:
            future.set_result(result)

    def tell(result: Engine | None, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(give, result, error)
        except RuntimeError:  # the loop has ended, and with it everybody who could be told
            _log.info("the model came after the end")

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            tell(None, error)
        else:
            tell(result, None)

    threading.Thread(target=run, name="load", daemon=True).start()
    return future


def _send_last_spans(tracing: Tracing | None) -> None:
    """Block for a moment: nothing else runs any more, and the process ends after this."""
    if tracing is not None and not tracing.close(tracing_module.CLOSE_SECONDS):
        _log.warning("the last spans could not be sent in time")


async def _close(pipeline: Engine) -> None:
    """Let the engine end; what does not end in time ends with the process."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pipeline.close()
    except TimeoutError:
        _log.warning("the engine did not close in time", extra={"seconds": CLOSE_SECONDS})
