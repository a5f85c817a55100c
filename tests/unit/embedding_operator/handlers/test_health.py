"""/healthz and /metrics answer what they promise."""

import asyncio
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from embedding_operator.api.names import Key
from embedding_operator.handlers.engine import Engine
from embedding_operator.handlers.health import serve
from embedding_operator.handlers.reconcile import Seen
from embedding_operator.metrics import Instruments
from fakes.cluster import FakeCluster


async def _look(key: Key) -> Seen:
    return Seen(True)


def _ask(missed: Key | None) -> tuple[httpx.Response, httpx.Response]:
    async def go() -> Any:
        instruments = Instruments(CollectorRegistry())
        engine = Engine(
            cluster=FakeCluster(),
            reconcile=_look,
            tick=None,
            instruments=instruments,
            resync_seconds=60,
        )
        engine.sightings.missed = missed
        instruments.wrote("Deployment")
        health, metrics = await serve(engine, instruments, 0, 0)
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                answers = [
                    await client.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}")
                    for runner, path in ((health, "/healthz"), (metrics, "/metrics"))
                ]
        finally:
            await health.cleanup()
            await metrics.cleanup()
        return answers

    healthz, metrics = asyncio.run(go())
    return healthz, metrics


def test_a_healthy_operator_says_so_and_shows_its_metrics() -> None:
    healthz, metrics = _ask(None)
    assert healthz.status_code == 200
    assert healthz.json()["healthy"] is True
    assert 'sluice_operator_api_writes_total{kind="Deployment"} 1.0' in metrics.text


def test_a_sick_operator_says_why() -> None:
    healthz, _ = _ask(Key("default", "clip"))
    assert healthz.status_code == 503
    assert healthz.json()["reason"].startswith("the watch is silent")
