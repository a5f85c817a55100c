"""All at once, with a seed: bad images, clients that leave, new settings, lanes that fail."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from embedding_contract.metrics import REQUEST_OUTCOMES
from embedding_service.engine.lane import Lane, LaneResult
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.engine.slots import SlotRing
from embedding_service.web.app import create_app
from endurance.pictures import picture
from endurance.retuning import HOME, any_setting
from endurance.wire import embed_request
from fakes.room import DIMENSIONS, Asked, ask, simulated_web
from fakes.waiting import until
from fakes.web import Web
from load.photographs import Photograph

GOOD = [picture(64, 48, seed) for seed in range(3)]
BAD = [
    Photograph("text.jpg", b"a letter, not a photograph", 0, 0),
    Photograph("cut.jpg", GOOD[0].data[:120], 64, 48),
    Photograph("empty.jpg", b"", 0, 0),
]
MOST_FAILURES = 3
"""More within a minute and the server rightly says that its lanes are broken for good."""


@dataclass
class Fuse:
    """Makes one batch of one lane fail each time it is lit."""

    lit: int = 0
    blown: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def blow(self) -> bool:
        with self.guard:
            if not self.lit:
                return False
            self.lit -= 1
            self.blown += 1
            return True

    def make_lane(self, ring: SlotRing) -> Lane:
        fuse = self

        class FusedLane(SimulatedLane):
            def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
                if fuse.blow():
                    raise RuntimeError("the device is on fire")
                return super().run(slots, copied)

        return FusedLane(ring, DIMENSIONS, h0_seconds=0.001)


@dataclass
class World:
    """One server and everything that was asked of it."""

    web: Web
    pipeline: Pipeline
    app: ASGIApp
    fuse: Fuse
    source: random.Random
    asked: list[Asked] = field(default_factory=list)
    retunes: "list[asyncio.Task[object]]" = field(default_factory=list)

    def request(self) -> None:
        images = self.source.choices(GOOD + BAD, k=self.source.randint(1, 6))
        self.asked.append(ask(self.web, embed_request(images), len(images), self.app))

    def cancel(self) -> None:
        running = [one for one in self.asked if not one.ended]
        if running:
            self.source.choice(running).leave()

    def retune(self) -> None:
        wanted = any_setting(self.source)
        retuning = asyncio.to_thread(self.pipeline.retune, wanted)
        self.retunes.append(asyncio.ensure_future(retuning))

    def light(self) -> None:
        if self.fuse.lit + self.fuse.blown < MOST_FAILURES:
            self.fuse.lit += 1

    async def pause(self) -> None:
        await asyncio.sleep(self.source.choice((0, 0, 0.002)))


async def live(world: World, acts: Sequence[str]) -> None:
    """Do what `acts` say, then let everything come to an end."""
    for act in acts:
        getattr(world, act)()
        await world.pause()
    await asyncio.gather(*world.retunes)
    await asyncio.gather(*(one.task for one in world.asked if one.task is not None))
    await asyncio.to_thread(world.pipeline.retune, HOME)


def is_conserved(world: World) -> None:
    """Each request has one outcome, and the metrics count the same."""
    counted = {
        outcome: world.web.count("embedding_requests_total", outcome=outcome)
        for outcome in REQUEST_OUTCOMES
    }
    assert sum(counted.values()) == len(world.asked)
    statuses = Counter(one.status for one in world.asked)
    assert set(statuses) <= {None, 200, 429, 500}
    assert counted["ok"] == statuses[200]
    assert counted["rejected"] == statuses[429]
    assert counted["server_fault"] == statuses[500]
    assert counted["cancelled"] == statuses[None]
    assert all(one.complete for one in world.asked if one.status is not None)
    assert all(one.left.is_set() for one in world.asked if one.status is None)
    handled = sum(
        world.web.count("embedding_images_total", outcome=outcome) for outcome in ("ok", "failed")
    )
    answered = sum(one.images for one in world.asked if one.status == 200)
    # Who left in the very moment of its answer may be among those that were computed.
    left = sum(one.images for one in world.asked if one.status is None)
    assert answered <= handled <= answered + left


async def nothing_leaks(pipeline: Pipeline) -> None:
    admission, ring = pipeline.admission, pipeline._parts.ring
    await until(lambda: (admission.in_flight, admission.waiting) == (0, 0))
    await until(lambda: ring.free == ring.count)
    await until(lambda: threads() == {"lane": 1, "decode": 2, "texts": 1})


def threads() -> dict[str, int]:
    """Count the engine's threads by kind."""
    names = [thread.name.partition("-")[0] for thread in threading.enumerate()]
    return dict(Counter(name for name in names if name in ("lane", "decode", "texts")))


def play(seed: int, acts: Sequence[str]) -> World:
    fuse = Fuse()
    web, pipeline = simulated_web(
        fuse.make_lane, num_streams=2, semaphore_size=4, queue_size=16, decode_workers=2
    )

    async def run() -> World:
        world = World(web, pipeline, create_app(web.serving), fuse, random.Random(seed))
        try:
            async with asyncio.timeout(60):
                await live(world, acts)
                await nothing_leaks(pipeline)
        finally:
            await pipeline.close()
        return world

    world = asyncio.run(run())
    assert not threads()
    is_conserved(world)
    return world


ACTS = ("request", "cancel", "retune", "light")


@pytest.mark.parametrize("seed", range(3))
def test_chaos_breaks_nothing(seed: int) -> None:
    acts = random.Random(seed).choices(ACTS, weights=(60, 15, 15, 2), k=400)
    world = play(seed, acts)
    statuses = Counter(one.status for one in world.asked)
    assert statuses[200] > 20
    assert statuses[None] > 0
    assert world.fuse.blown > 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**16), st.lists(st.sampled_from(ACTS[:3]), max_size=40))
def test_no_order_of_requests_cancels_and_settings_leaks(seed: int, acts: list[str]) -> None:
    play(seed, acts)
