"""/healthz and /metrics of the operator, on two ports."""

import logging
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from embedding_operator.handlers.engine import VISIT_SECONDS, Engine
from embedding_operator.metrics import Instruments

log = logging.getLogger(__name__)

BEAT_LIMIT_SECONDS: Final = 15.0
LAG_LIMIT_SECONDS: Final = VISIT_SECONDS * 2


def sickness(engine: Engine) -> str | None:
    """Why a restart would help, or None. An API server that is down is no reason: it would not."""
    if engine.beat_age_seconds > BEAT_LIMIT_SECONDS:
        return f"the loop has not turned for {engine.beat_age_seconds:.0f} seconds"
    if engine.lag_seconds > LAG_LIMIT_SECONDS:
        return f"a resource has waited for {engine.lag_seconds:.0f} seconds"
    if engine.sightings.missed is not None:
        return f"the watch is silent: a change of {engine.sightings.missed} never arrived"
    return None


async def serve(
    engine: Engine, instruments: Instruments, health_port: int, metrics_port: int
) -> list[web.AppRunner]:
    """Listen on both ports until the runners are cleaned up."""

    async def healthz(_: web.Request) -> web.Response:
        sick = sickness(engine)
        body = {
            "healthy": sick is None,
            "reason": sick or "",
            "loopAgeSeconds": round(engine.beat_age_seconds, 1),
            "listingAgeSeconds": round(engine.listing_age_seconds, 1),
            "lagSeconds": round(engine.lag_seconds, 1),
        }
        return web.json_response(body, status=200 if sick is None else 503)

    async def metrics(_: web.Request) -> web.Response:
        text = generate_latest(instruments.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        await _listen("/healthz", healthz, health_port),
        await _listen("/metrics", metrics, metrics_port),
    ]


async def _listen(path: str, handler: Handler, port: int) -> web.AppRunner:
    application = web.Application()
    application.router.add_get(path, handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    # Probes and Prometheus come from outside the pod.
    await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104
    log.info("%s listens on port %d", path, runner.addresses[0][1])
    return runner
