"""Lanes that raise and lanes that hang, seen through the whole web room."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from embedding_service.engine.lane import Lane, LaneResult
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.engine.slots import SlotRing
from endurance.pictures import picture
from endurance.wire import Request, embed_request
from fakes.room import DIMENSIONS, Asked, ask, simulated_web
from fakes.waiting import until
from fakes.web import Web

LIVENESS_SECONDS = 30.0
"""A lane that hangs must be seen within this time."""


@dataclass
class Faults:
    """Lanes of one server. Batches count over all of them, from `armed` on."""

    raise_on: frozenset[int] = frozenset()
    hang_on: frozenset[int] = frozenset()
    armed: bool = False
    batches: int = 0
    made: list[Lane] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def next_batch(self) -> int:
        with self.guard:
            self.batches += self.armed
            return self.batches if self.armed else 0

    def make_lane(self, ring: SlotRing) -> Lane:
        faults = self

        class FaultyLane(SimulatedLane):
            def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
                number = faults.next_batch()
                if number in faults.raise_on:
                    raise RuntimeError("the device is on fire")
                if number in faults.hang_on:
                    faults.hanging.set()
                    faults.let_go.wait(60)
                return super().run(slots, copied)

        lane = FaultyLane(ring, DIMENSIONS)
        self.made.append(lane)
        return lane


def one_image(seed: int) -> Request:
    return embed_request([picture(32, 32, seed)])


async def answered(web: Web, seed: int) -> int | None:
    asked = ask(web, one_image(seed), 1)
    assert asked.task is not None
    await asked.task
    if asked.status == 200:
        assert len(json.loads(asked.body)["embeddings"]) == 1
    return asked.status


def scenario(
    faults: Faults, work: Callable[[Web, Pipeline], Coroutine[Any, Any, None]], **values: object
) -> tuple[Web, Pipeline]:
    web, pipeline = simulated_web(faults.make_lane, **values)
    faults.armed = True

    async def run() -> None:
        try:
            async with asyncio.timeout(30):
                await work(web, pipeline)
        finally:
            faults.let_go.set()
            await pipeline.close()

    asyncio.run(run())
    assert pipeline.admission.in_flight == 0
    assert pipeline._parts.ring.free == pipeline._parts.ring.count
    return web, pipeline


@pytest.mark.parametrize("streams", [1, 2])
def test_a_lane_that_raises_fails_its_batch_and_is_replaced(streams: int) -> None:
    faults = Faults(raise_on=frozenset({3}))

    async def work(web: Web, pipeline: Pipeline) -> None:
        # One after the other: each request is a batch of its own.
        statuses = [await answered(web, seed) for seed in range(8)]
        assert Counter(statuses) == {200: 7, 500: 1}
        assert statuses[2] == 500
        await until(lambda: len(faults.made) == streams + 1)
        assert web.serving.not_alive(time.monotonic()) is None
        assert pipeline.setting.num_streams == streams

    web, _ = scenario(faults, work, num_streams=streams)
    assert web.count("embedding_requests_total", outcome="server_fault") == 1
    assert web.count("embedding_requests_total", outcome="ok") == 7


def test_lanes_that_always_raise_make_liveness_fail() -> None:
    """A fresh lane does not help: a restart may, and nothing spins meanwhile."""
    faults = Faults(raise_on=frozenset(range(1, 10_000)))

    async def work(web: Web, pipeline: Pipeline) -> None:
        statuses = [await answered(web, seed) for seed in range(6)]
        assert set(statuses) == {500}
        await until(lambda: web.serving.not_alive(time.monotonic()) is not None)

    scenario(faults, work)


async def hang(web: Web, faults: Faults) -> Asked:
    """Let one request hang in its lane."""
    stuck = ask(web, one_image(0), 1)
    await until(faults.hanging.is_set)
    return stuck


def test_a_lane_that_hangs_makes_liveness_fail_in_time() -> None:
    faults = Faults(hang_on=frozenset({1}))

    async def work(web: Web, pipeline: Pipeline) -> None:
        stuck = await hang(web, faults)
        now = time.monotonic()
        assert web.serving.not_alive(now) is None
        assert "lane-0" in (web.serving.not_alive(now + LIVENESS_SECONDS) or "")
        faults.let_go.set()
        assert stuck.task is not None
        await stuck.task
        assert stuck.status == 200
        # The answer is out a moment before the lane says that it is free.
        await until(lambda: web.serving.not_alive(now + LIVENESS_SECONDS) is None)

    scenario(faults, work)


def test_while_one_lane_hangs_the_others_go_on_and_its_client_may_leave() -> None:
    faults = Faults(hang_on=frozenset({1}))

    async def work(web: Web, pipeline: Pipeline) -> None:
        stuck = await hang(web, faults)
        assert {await answered(web, seed) for seed in range(1, 9)} == {200}
        stuck.leave()
        assert stuck.task is not None
        await stuck.task
        assert stuck.status is None
        await until(lambda: pipeline.admission.in_flight == 0)

    web, _ = scenario(faults, work, num_streams=2, semaphore_size=2)
    assert web.count("embedding_requests_total", outcome="cancelled") == 1
