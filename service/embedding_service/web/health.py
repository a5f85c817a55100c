"""Probes and metrics: livez, readyz, /metrics. They need no permit and no pipeline."""

import asyncio
import time
from typing import Any, Final

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from embedding_contract.endpoints import LIVE_PATH, METRICS_PATH, READY_PATH
from embedding_service.web.answers import JSON
from embedding_service.web.document import refusals, shown
from embedding_service.web.serving import Serving


def health_routes(serving: Serving) -> APIRouter:
    """Return the routes for the kubelet and for Prometheus."""
    router = APIRouter(tags=["operation"])

    @router.get(
        LIVE_PATH,
        summary="Does it make progress?",
        response_class=Response,
        responses=_verdicts("alive", "Stuck; restart it", "lane-0 is on one batch for 61 s"),
    )
    async def livez() -> Response:
        """200 while every lane makes progress or is idle; 503 says what is stuck."""
        return _verdict(serving.not_alive(time.monotonic()), "alive")

    @router.get(
        READY_PATH,
        summary="Should traffic come here?",
        response_class=Response,
        responses=_verdicts("ready", "Loading or on its way out", "loading"),
    )
    async def readyz() -> Response:
        """200 once the model is warm; 503 while it loads and from SIGTERM on."""
        return _verdict(serving.not_ready(), "ready")

    @router.get(
        METRICS_PATH,
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: _METRICS, **refusals(500)},
    )
    async def metrics() -> Response:
        """Every metric of the contract in Prometheus's text format."""
        text = await asyncio.to_thread(generate_latest, serving.instruments.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router


_METRICS: Final = {
    "description": "Prometheus's text format",
    "content": {
        "text/plain": {"schema": {"type": "string"}, "example": "embedding_inflight_requests 3.0\n"}
    },
}


def _verdicts(good: str, bad: str, problem: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: shown("Status", f"It is {good}", {"status": good}),
        503: shown("Status", bad, {"status": problem}),
        **refusals(500),
    }


def _verdict(problem: str | None, good: str) -> Response:
    body = orjson.dumps({"status": problem or good})
    return Response(body, 200 if problem is None else 503, media_type=JSON)
