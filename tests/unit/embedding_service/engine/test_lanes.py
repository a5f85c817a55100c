"""A lane that breaks is replaced, one that lacks memory halves its batch, the rest goes on."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.tuning import Setting
from embedding_service.engine.lane import LaneResult, OutOfDeviceMemory
from embedding_service.engine.pipeline import STUCK_SECONDS, Pipeline
from embedding_service.engine.replacements import (
    LONGEST_PAUSE_SECONDS,
    MAX_REPLACEMENTS,
    WINDOW_SECONDS,
    Replacements,
)
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.errors import ServerFault
from fakes.waiting import until

DIMENSIONS = 6


class FaultyLane(SimulatedLane):
    """Breaks while `broken` is set; has no memory for more than `most` images while that is set."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.broken = False
        self.most = 10**9
        self.sizes: list[int] = []

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        self.sizes.append(len(slots))
        if len(slots) > self.most:
            raise OutOfDeviceMemory("out of memory")
        if self.broken:
            raise RuntimeError("the device is on fire")
        return super().run(slots, copied)


def run(pipeline: Pipeline, work: Callable[[], Any]) -> None:
    async def scenario() -> None:
        try:
            async with asyncio.timeout(30):
                await work()
        finally:
            await pipeline.close()

    asyncio.run(scenario())
    ring = pipeline._parts.ring
    assert ring.free == ring.count


def replaced(bench: Any) -> float:
    return float(bench.registry.get_sample_value("embedding_lane_replacements_total"))


def test_a_lane_that_breaks_fails_its_batch_and_a_fresh_one_takes_its_place(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline = bench.pipeline(lambda ring: FaultyLane(ring, DIMENSIONS))
    good = photographs["china.jpg"]
    bench.made[0].broken = True

    async def work() -> None:
        with pytest.raises(ServerFault, match="failed on a batch"):
            await pipeline.embed_images([good])
        assert len(await pipeline.embed_images([good])) == 1  # nothing was restarted for it
        assert len(bench.made) == 2
        await until(lambda: replaced(bench) == 1)
        assert [lane.name for lane in pipeline._lanes.threads] == ["lane-0"]
        assert pipeline.alive(0.0) is None

    run(pipeline, work)
    assert not {one.name for one in threading.enumerate() if one.name.startswith("lane-")}


def test_the_other_lanes_go_on_while_one_is_replaced(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline = bench.pipeline(lambda ring: FaultyLane(ring, DIMENSIONS), num_streams=2)
    bench.made[1].broken = True

    async def one() -> bool:
        try:
            return len(await pipeline.embed_images([photographs["china.jpg"]])) == 1
        except ServerFault:
            return False

    async def work() -> None:
        answers = []
        while replaced(bench) == 0:
            answers += await asyncio.gather(*(one() for _ in range(6)))
        assert 1 <= answers.count(False) <= 4  # the one batch of the lane that broke
        assert len(pipeline._lanes.threads) == 2
        assert all(await asyncio.gather(*(one() for _ in range(12))))

    run(pipeline, work)


def test_lanes_that_break_again_and_again_fail_liveness_with_the_reason(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    healthy = True

    class Doomed(FaultyLane):
        def start(self) -> None:
            self.broken = not healthy

    pipeline = bench.pipeline(lambda ring: Doomed(ring, DIMENSIONS))
    healthy = False
    bench.made[0].broken = True

    async def work() -> None:
        for _ in range(MAX_REPLACEMENTS):
            with pytest.raises(ServerFault):
                await pipeline.embed_images([photographs["china.jpg"]])
        await until(lambda: pipeline.alive(0.0) is not None)
        assert "lanes broke 5 times within 60 s, the last: lane-0: RuntimeError" in (
            pipeline.alive(0.0) or ""
        )

    run(pipeline, work)


def test_a_replacement_that_cannot_start_is_tried_again_and_liveness_hears_of_it(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    may_start = threading.Event()
    may_start.set()

    class NoStart(FaultyLane):
        def start(self) -> None:
            if not may_start.is_set():
                raise MemoryError("no memory for another lane")

    pipeline = bench.pipeline(lambda ring: NoStart(ring, DIMENSIONS))
    bench.made[0].broken = True
    may_start.clear()

    async def work() -> None:
        with pytest.raises(ServerFault):
            await pipeline.embed_images([photographs["china.jpg"]])
        await until(lambda: len(bench.made) >= 3)
        lane = pipeline._lanes.threads[0]
        assert lane._doing is not None
        assert lane._doing[0] == "its replacement"
        problem = pipeline.alive(lane._doing[1] + STUCK_SECONDS + 1)
        assert problem == "lane-0 has been on its replacement for 21 s"
        may_start.set()
        assert len(await pipeline.embed_images([photographs["china.jpg"]])) == 1

    run(pipeline, work)


def test_a_lane_that_broke_and_is_wanted_no_more_is_not_replaced(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    broke, go_on = threading.Event(), threading.Event()

    class Slow(FaultyLane):
        def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
            if self.broken:
                broke.set()
                go_on.wait(10)
            return super().run(slots, copied)

    pipeline = bench.pipeline(lambda ring: Slow(ring, DIMENSIONS), num_streams=2)
    bench.made[1].broken = True

    async def work() -> None:
        good = photographs["china.jpg"]
        answers = []
        while not broke.is_set():
            answers.append(asyncio.create_task(pipeline.embed_images([good])))
            await asyncio.sleep(0.001)
        leaving = pipeline._lanes.threads[1]
        await asyncio.to_thread(pipeline.retune, Setting(1, 4))
        go_on.set()
        await asyncio.gather(*answers, return_exceptions=True)
        await asyncio.to_thread(leaving.join, 10)
        assert (len(bench.made), replaced(bench)) == (2, 0)

    run(pipeline, work)


def test_without_memory_a_batch_is_tried_in_halves(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline = bench.pipeline(lambda ring: FaultyLane(ring, DIMENSIONS), max_batch=4)
    lane = bench.made[0]
    lane.most, lane.sizes[:] = 2, []

    async def work() -> None:
        answers = await asyncio.gather(
            *(pipeline.embed_images([photographs["rocket.jpg"]] * 4) for _ in range(6))
        )
        assert all(len(vector) == DIMENSIONS for answer in answers for vector in answer)
        assert len(bench.made) == 1  # the lane is sound

    run(pipeline, work)
    assert sum(size for size in lane.sizes if size <= 2) == 24


def test_when_the_halves_do_not_fit_either_the_batch_fails(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline = bench.pipeline(lambda ring: FaultyLane(ring, DIMENSIONS), max_batch=4)
    bench.made[0].most = 0

    async def work() -> None:
        with pytest.raises(ServerFault, match="failed on a batch"):
            await pipeline.embed_images([photographs["rocket.jpg"]])
        assert len(await pipeline.embed_images([photographs["rocket.jpg"]])) == 1

    run(pipeline, work)


def test_closing_while_a_lane_is_broken_leaves_nobody_waiting(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    class OnlyOne(FaultyLane):
        def start(self) -> None:
            if len(bench.made) > 1:
                raise MemoryError("no memory for another lane")

    pipeline = bench.pipeline(lambda ring: OnlyOne(ring, DIMENSIONS))
    bench.made[0].broken = True

    async def work() -> None:
        with pytest.raises(ServerFault):
            await pipeline.embed_images([photographs["china.jpg"]])
        left = asyncio.create_task(pipeline.embed_images([photographs["china.jpg"]] * 2))
        await until(lambda: pipeline._batcher.waiting == 2)
        await pipeline.close()
        with pytest.raises(ServerFault, match="closing"):
            await left

    run(pipeline, work)


@given(st.lists(st.integers(0, 30), max_size=30))
def test_pauses_grow_and_forget(gaps: list[int]) -> None:
    rule, now = Replacements(), 0
    times: list[int] = []
    for gap in gaps:
        now += gap
        recent = sum(now - time < WINDOW_SECONDS for time in times)
        assert (rule.pause(now) == 0.0) == (recent == 0)
        assert rule.pause(now) <= LONGEST_PAUSE_SECONDS
        assert (rule.problem(now) is not None) == (recent >= MAX_REPLACEMENTS)
        rule.note(now, "why")
        times.append(now)
    assert rule.pause(now + WINDOW_SECONDS) == 0.0
    assert rule.problem(now + WINDOW_SECONDS) is None
