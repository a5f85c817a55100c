"""kopf from start to stop: its settings, our engine beside it, the two ports."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, Final

import kopf
from aiohttp import web

from embedding_operator.clients.apiserver import ApiServer
from embedding_operator.clients.pods import PodReports
from embedding_operator.clients.prometheus import Prometheus
from embedding_operator.handlers.engine import BACKOFF_SECONDS, Engine
from embedding_operator.handlers.health import serve
from embedding_operator.handlers.reconcile import Reconciler
from embedding_operator.handlers.tune import Tuner
from embedding_operator.handlers.watch import only_ours, watch_everything
from embedding_operator.metrics import Instruments
from embedding_operator.settings import OperatorSettings

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 10.0
REQUEST_SECONDS: Final = 30.0
WATCH_SERVER_SECONDS: Final = 300
WATCH_CLIENT_SECONDS: Final = 310.0


@dataclass(slots=True)
class Operator:
    """The parts of one operator process."""

    settings: OperatorSettings
    cluster: ApiServer
    instruments: Instruments
    reports: PodReports
    prometheus: Prometheus
    engine: Engine
    work: asyncio.Task[None] | None = None
    ports: list[web.AppRunner] = field(default_factory=list)

    async def start(self) -> None:
        """Start working and listening."""
        self.ports = await serve(
            self.engine,
            self.instruments,
            self.settings.health_port,
            self.settings.metrics_port,
        )
        self.work = asyncio.create_task(self.engine.run(), name="engine")

    async def stop(self) -> None:
        """Stop; what was in the middle goes on from status at the next start."""
        if self.work is not None:
            self.work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.work
        for port in self.ports:
            await port.cleanup()
        await self.reports.__aexit__(None, None, None)
        await self.prometheus.__aexit__(None, None, None)
        self.cluster.close()


def build(settings: OperatorSettings, cluster: ApiServer, instruments: Instruments) -> Operator:
    """Put the parts together."""
    reports, prometheus = PodReports(), Prometheus()
    reconcile = Reconciler(cluster, reports, instruments, settings.server_image)
    tuner = Tuner(
        prometheus,
        settings.prometheus_address,
        diagnosed=lambda key, diagnosis: instruments.diagnosed(
            key, None if diagnosis is None else diagnosis.bottleneck
        ),
        decided=instruments.decided,
    )
    engine = Engine(
        cluster=cluster,
        reconcile=reconcile,
        tick=tuner,
        instruments=instruments,
        resync_seconds=settings.resync_seconds,
    )
    return Operator(settings, cluster, instruments, reports, prometheus, engine)


def registry_of(operator: Operator) -> kopf.OperatorRegistry:
    """All handlers that kopf calls."""
    registry = kopf.OperatorRegistry()

    async def started(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await operator.start()

    async def stopped(**_: Any) -> None:
        await operator.stop()

    kopf.on.startup(registry=registry)(started)
    kopf.on.cleanup(registry=registry)(stopped)
    kopf.on.login(registry=registry)(kopf.login_via_client)
    watch_everything(registry, operator.engine)
    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """Bounded waits, no events and no state of kopf's own, no rights beyond the watches."""
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.server_timeout = WATCH_SERVER_SECONDS
    settings.watching.client_timeout = WATCH_CLIENT_SECONDS
    settings.queueing.error_delays = BACKOFF_SECONDS
    settings.posting.enabled = False
    # Neither CRDs nor namespaces are watched: both are known when the operator starts.
    settings.scanning.disabled = True
    only_ours(settings)
