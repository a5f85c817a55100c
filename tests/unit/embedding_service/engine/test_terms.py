"""Priorities, deadlines, cancellation and shared images through the whole pipeline."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.engine.lane import LaneResult
from embedding_service.engine.pipeline import Pipeline, Vector
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.engine.terms import PRIORITIES, Terms
from embedding_service.errors import DeadlineExceeded, ImageFailure, ServerFault
from fakes.waiting import until

DIMENSIONS = 6
TEXT = b"this is no image"
LIVE = Terms("live")


class Turnstile(SimulatedLane):
    """Lets one batch through for each permission; remembers the sizes of the batches."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.closed = False
        self.permissions = threading.Semaphore(0)
        self.waiting = False
        self.sizes: list[int] = []
        self.broken = False

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        if self.closed:
            self.waiting = True
            assert self.permissions.acquire(timeout=20)
            self.waiting = False
            self.sizes.append(len(slots))
        if self.broken:
            raise RuntimeError("the device is on fire")
        return super().run(slots, copied)

    def open(self) -> None:
        self.closed = False
        self.permissions.release()


def turnstile(bench: Any, **values: Any) -> tuple[Pipeline, Turnstile]:
    """Return a pipeline with one lane whose turnstile is closed."""
    pipeline = bench.pipeline(lambda ring: Turnstile(ring, DIMENSIONS), **values)
    bench.made[0].closed = True
    return pipeline, bench.made[0]


def run(pipeline: Pipeline, lane: Turnstile, work: Callable[[], Any]) -> None:
    async def scenario() -> None:
        try:
            async with asyncio.timeout(30):
                await work()
        finally:
            lane.open()
            await pipeline.close()

    asyncio.run(scenario())
    assert pipeline._parts.ring.free == pipeline._parts.ring.count
    assert (pipeline._sharing.open, pipeline._batcher.waiting) == (0, 0)


def same(one: Vector | ImageFailure, other: Vector | ImageFailure) -> bool:
    assert not isinstance(one, ImageFailure)
    assert not isinstance(other, ImageFailure)
    return np.array_equal(one, other)


def value(bench: Any, name: str, **labels: str) -> float:
    return float(bench.registry.get_sample_value(name, labels) or 0.0)


async def one_batch(lane: Turnstile, then: Callable[[], bool]) -> None:
    """Let one batch through and wait until the lane has the next one, and until `then`."""
    done = len(lane.sizes)
    lane.permissions.release()
    await until(lambda: len(lane.sizes) > done and lane.waiting and then())


def test_a_live_image_overtakes_an_album_in_front_of_decoder_and_lane(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, max_batch=2, decode_workers=1)
    good = photographs["rocket.jpg"]

    def full() -> bool:
        return not pipeline._parts.ring.free

    async def work() -> None:
        album = asyncio.create_task(pipeline.embed_images([good] * 100))
        await until(lambda: lane.waiting and full())
        live = asyncio.create_task(pipeline.embed_images([good], LIVE))
        # In front of it are the batch in hand and the image that the decode thread holds until a
        # slot is free; not the 14 that are ready, and not the 80 behind them.
        for _ in range(5):
            await one_batch(lane, full)
            if live.done():
                break
        assert live.done()
        assert not album.done()
        lane.open()
        assert len(await album) == 100

    run(pipeline, lane, work)


def test_albums_go_on_under_a_stream_of_live_requests(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, max_batch=1, decode_workers=1)
    good = photographs["rocket.jpg"]

    async def work() -> None:
        album = asyncio.create_task(pipeline.embed_images([good] * 5))
        live = {asyncio.create_task(pipeline.embed_images([good], LIVE)) for _ in range(20)}
        await until(lambda: lane.waiting)
        for _ in range(40):
            live |= {asyncio.create_task(pipeline.embed_images([good], LIVE)) for _ in range(2)}
            await one_batch(lane, lambda: True)
            if album.done():
                break
        assert album.done()
        assert not all(task.done() for task in live)
        lane.open()
        await asyncio.gather(*live)

    run(pipeline, lane, work)


def test_cancelled_images_leave_every_stage_while_the_lane_is_busy(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, max_batch=2)
    ring = pipeline._parts.ring

    async def work() -> None:
        gone = asyncio.create_task(pipeline.embed_images([photographs["rocket.jpg"]] * 100))
        await until(lambda: lane.waiting and not ring.free)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        # Only what the lane has in its hands is still taken; the lane has not moved.
        await until(lambda: ring.free >= ring.count - 2)
        assert pipeline._batcher.waiting == 0
        assert len(pipeline._pool._jobs) == 0

    run(pipeline, lane, work)


def test_late_work_is_dropped_before_a_lane_takes_it(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, max_batch=2)
    ring = pipeline._parts.ring

    async def work() -> None:
        first = asyncio.create_task(pipeline.embed_images([photographs["rocket.jpg"]]))
        await until(lambda: lane.waiting)
        soon = Terms("bulk", time.monotonic() + 0.2)
        with pytest.raises(DeadlineExceeded, match="deadline"):
            await pipeline.embed_images([photographs["rocket.jpg"]] * 50, soon)
        await until(lambda: ring.free >= ring.count - 1)
        lane.open()
        assert len(await first) == 1
        assert value(bench, "embedding_batches_total") == 1

    run(pipeline, lane, work)


def test_work_that_comes_late_is_not_even_decoded(
    bench: Any, photographs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, lane = turnstile(bench)
    monkeypatch.setattr(pipeline._decoding, "_pixels", None)  # decoding would break

    async def work() -> None:
        late = Terms("live", time.monotonic() - 1)
        for embed in (pipeline.embed_images([photographs["china.jpg"]], late),
                      pipeline.embed_texts(["a cat"], late)):  # fmt: skip
            with pytest.raises(DeadlineExceeded):
                await embed
        await until(lambda: len(pipeline._pool._jobs) == 0)

    run(pipeline, lane, work)
    assert value(bench, "embedding_stage_duration_seconds_count", stage="decode") == 0


def test_two_requests_with_one_image_cost_one_decode_and_one_forward(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, share_identical=True)
    first, other = photographs["rocket.jpg"], photographs["china.jpg"]

    async def work() -> None:
        one = asyncio.create_task(pipeline.embed_images([first]))
        await until(lambda: lane.waiting)
        two = asyncio.create_task(pipeline.embed_images([other, first, first]))
        await until(lambda: value(bench, "embedding_shared_images_total") == 2)
        lane.open()
        (alone,), (_, again, twice) = await asyncio.gather(one, two)
        assert same(alone, again)
        assert same(alone, twice)

    run(pipeline, lane, work)
    assert value(bench, "embedding_stage_duration_seconds_count", stage="decode") == 2
    assert value(bench, "embedding_batch_size_sum") == 2
    assert value(bench, "embedding_images_total", outcome="ok") == 4


@pytest.mark.parametrize("gone", [0, 1])
def test_cancelling_one_does_not_hurt_who_shares_with_it(
    bench: Any, photographs: dict[str, bytes], gone: int
) -> None:
    pipeline, lane = turnstile(bench, share_identical=True, max_batch=1)
    good = photographs["rocket.jpg"]

    async def work() -> None:
        blocker = asyncio.create_task(pipeline.embed_images([photographs["china.jpg"]]))
        await until(lambda: lane.waiting)
        both = [asyncio.create_task(pipeline.embed_images([good])) for _ in range(2)]
        await until(lambda: value(bench, "embedding_shared_images_total") == 1)
        both[gone].cancel()
        await asyncio.gather(both[gone], return_exceptions=True)
        lane.open()
        assert not isinstance((await both[1 - gone])[0], ImageFailure)
        await blocker

    run(pipeline, lane, work)


def test_what_is_shared_fails_for_all_in_the_same_way(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, share_identical=True)

    async def work() -> None:
        lane.broken = True
        both = [
            asyncio.create_task(pipeline.embed_images([photographs["rocket.jpg"]]))
            for _ in range(2)
        ]
        await until(lambda: value(bench, "embedding_shared_images_total") == 1)
        lane.open()
        found = await asyncio.gather(*both, return_exceptions=True)
        assert [type(error) for error in found] == [ServerFault, ServerFault]

    run(pipeline, lane, work)


def test_a_cached_image_needs_no_lane(bench: Any, photographs: dict[str, bytes]) -> None:
    pipeline, lane = turnstile(bench, cache_bytes=100_000)
    lane.closed = False
    images = [photographs["rocket.jpg"], TEXT]

    async def work() -> None:
        (first, failed) = await pipeline.embed_images(images)
        lane.closed = True
        (again, failed_again) = await pipeline.embed_images(images)
        assert same(first, again)
        assert isinstance(failed, ImageFailure)
        assert isinstance(failed_again, ImageFailure)

    run(pipeline, lane, work)
    assert value(bench, "embedding_cache_lookups_total", outcome="hit") == 1
    assert value(bench, "embedding_cache_lookups_total", outcome="miss") == 3
    assert value(bench, "embedding_cache_bytes") > 0
    assert value(bench, "embedding_batch_size_sum") == 1


class Moody(SimulatedLane):
    """Fails each batch whose number is in `bad`."""

    bad: frozenset[int] = frozenset()
    count = 0

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        type(self).count += 1
        if self.count in self.bad:
            raise RuntimeError("a bad batch")
        return super().run(slots, copied)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_slots_and_permits_are_conserved_whatever_happens(
    new_bench: Callable[[], Any], photographs: dict[str, bytes], data: st.DataObject
) -> None:
    """Submit, cancel, expire, fail and close in any order, shared and cached or not."""
    Moody.bad, Moody.count = frozenset(), 0
    pipeline = new_bench().pipeline(
        lambda ring: Moody(ring, DIMENSIONS),
        max_batch=2,
        share_identical=data.draw(st.booleans(), "share"),
        cache_bytes=data.draw(st.sampled_from([0, 1200])),
        admit_by=data.draw(st.sampled_from(["requests", "images"])),
    )
    Moody.bad = data.draw(st.frozensets(st.integers(9, 20), max_size=2))
    images: list[bytes] = [photographs["rocket.jpg"], photographs["china.jpg"], TEXT]

    async def one(count: int, terms: Terms) -> None:
        async with pipeline.admission.permit(30, terms.priority, 1) as permit:
            await permit.counted(terms.priority, 20 * count)
            await pipeline.embed_images([images[index % 3] for index in range(count)], terms)

    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        for _ in range(data.draw(st.integers(1, 12))):
            match data.draw(st.sampled_from(["submit", "submit", "cancel", "pause", "close"])):
                case "submit":
                    priority = data.draw(st.sampled_from(PRIORITIES))
                    left = data.draw(st.sampled_from([-1.0, 0.001, 0.01, 1e6]))
                    terms = Terms(priority, time.monotonic() + left)
                    count = data.draw(st.integers(0, 6))
                    tasks.append(asyncio.create_task(one(count, terms)))
                case "cancel" if tasks:
                    data.draw(st.sampled_from(tasks)).cancel()
                case "close" if len(tasks) > 8:
                    await pipeline.close()
                case _:
                    await asyncio.sleep(0)
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            allowed = (ServerFault, DeadlineExceeded, asyncio.CancelledError)
            assert error is None or isinstance(error, allowed)
        assert (pipeline.admission.in_flight, pipeline.admission.waiting) == (0, 0)
        assert pipeline.admission.permits_in_use in (0, pytest.approx(1))
        await until(lambda: pipeline._batcher.waiting == 0)

    async def scenario() -> None:
        try:
            async with asyncio.timeout(60):
                await work()
        finally:
            await asyncio.gather(*tasks, return_exceptions=True)
            await pipeline.close()

    asyncio.run(scenario())
    assert pipeline._parts.ring.free == pipeline._parts.ring.count
    assert pipeline._sharing.open == 0


def test_when_a_batch_fails_the_rest_of_its_request_leaves_every_stage(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline, lane = turnstile(bench, max_batch=2)
    ring = pipeline._parts.ring

    async def work() -> None:
        failing = asyncio.create_task(pipeline.embed_images([photographs["rocket.jpg"]] * 100))
        await until(lambda: lane.waiting and not ring.free)
        lane.broken = True
        lane.open()
        with pytest.raises(ServerFault):
            await failing
        await until(lambda: ring.free == ring.count)
        assert len(pipeline._pool._jobs) == 0

    run(pipeline, lane, work)
