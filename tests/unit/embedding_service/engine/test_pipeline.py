"""Order, isolation, cancellation, live retune and liveness, on simulated lanes."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from embedding_contract.endpoints import ImageErrorCode
from embedding_contract.tuning import Setting
from embedding_service.engine.lane import LaneResult
from embedding_service.engine.pipeline import STUCK_SECONDS, Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane, simulated_vectors
from embedding_service.errors import ImageFailure, ServerFault
from embedding_service.imaging.prepare import prepare

TEXT = b"this is no image"
MISSING = ImageFailure(ImageErrorCode.NOT_FOUND, "no such file")
DIMENSIONS = 6


def run(pipeline: Pipeline, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in one event loop, close the pipeline and look for lost slots."""

    async def scenario() -> None:
        try:
            await asyncio.wait_for(work(), 30)
        finally:
            await pipeline.close()

    asyncio.run(scenario())
    ring = pipeline._parts.ring
    assert ring.free == ring.count


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    pause, deadline = threading.Event(), time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        await asyncio.to_thread(pause.wait, 0.001)


class GatedLane(SimulatedLane):
    """Computes only while its gate is open."""

    gate = threading.Event()

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        self.gate.wait(10)
        return super().run(slots, copied)


def test_each_image_gets_its_own_vector_in_order(bench: Any, photographs: dict[str, bytes]) -> None:
    pipeline = bench.pipeline(num_streams=2)
    names = list(photographs) * 3

    async def work() -> None:
        found = await pipeline.embed_images([photographs[name] for name in names])
        for name, vector in zip(names, found, strict=True):
            pixels = prepare(photographs[name], pipeline._parts.profile, 10**9)
            wanted = simulated_vectors(pixels[None], DIMENSIONS)[0]
            assert np.allclose(vector, wanted, atol=1e-5), name

    run(pipeline, work)


def test_one_bad_image_fails_alone(bench: Any, photographs: dict[str, bytes]) -> None:
    pipeline = bench.pipeline()
    good = photographs["china.jpg"]

    async def work() -> None:
        found = await pipeline.embed_images([good, TEXT, MISSING, b"", good])
        assert [type(item).__name__ for item in found] == [
            "ndarray", "ImageFailure", "ImageFailure", "ImageFailure", "ndarray",
        ]  # fmt: skip
        assert found[1].code == ImageErrorCode.NOT_AN_IMAGE
        assert found[2] is MISSING
        scrape = generate_latest(bench.registry).decode()
        assert 'embedding_images_total{outcome="ok"} 2.0' in scrape
        assert 'embedding_images_total{outcome="failed"} 3.0' in scrape

    run(pipeline, work)


def test_requests_of_nothing_and_of_failures_only_come_back_at_once(bench: Any) -> None:
    pipeline = bench.pipeline()

    async def work() -> None:
        assert await pipeline.embed_images([]) == []
        assert await pipeline.embed_images([MISSING]) == [MISSING]

    run(pipeline, work)


def test_a_decoder_that_breaks_takes_only_its_image_along(
    bench: Any, photographs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = bench.pipeline()
    honest = pipeline._decoding._pixels

    def breaks(data: bytes) -> Any:
        if data == TEXT:
            raise RuntimeError("a fault that nobody thought of")
        return honest(data)

    monkeypatch.setattr(pipeline._decoding, "_pixels", breaks)

    async def work() -> None:
        found = await pipeline.embed_images([TEXT, photographs["china.jpg"]])
        assert found[0].code == ImageErrorCode.NOT_AN_IMAGE
        assert len(found[1]) == DIMENSIONS

    run(pipeline, work)


def test_cancelling_drops_what_is_queued(bench: Any, photographs: dict[str, bytes]) -> None:
    GatedLane.gate.set()
    pipeline = bench.pipeline(lambda ring: GatedLane(ring, DIMENSIONS), max_batch=1)
    good = photographs["china.jpg"]

    async def work() -> None:
        GatedLane.gate.clear()
        gone = asyncio.create_task(pipeline.embed_images([good] * 200))
        await until(lambda: not pipeline._parts.ring.free)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        GatedLane.gate.set()
        assert len(await pipeline.embed_images([good])) == 1
        batches = bench.registry.get_sample_value("embedding_batches_total")
        assert batches < 20  # not the 200 of the request that went away

    run(pipeline, work)


def test_a_lane_that_hangs_is_told_by_liveness(bench: Any, photographs: dict[str, bytes]) -> None:
    GatedLane.gate.set()
    pipeline = bench.pipeline(lambda ring: GatedLane(ring, DIMENSIONS))

    async def work() -> None:
        GatedLane.gate.clear()
        task = asyncio.create_task(pipeline.embed_images([photographs["china.jpg"]]))
        await until(lambda: pipeline._lanes.threads[0]._doing is not None)
        doing = pipeline._lanes.threads[0]._doing
        assert doing is not None
        assert pipeline.alive(doing[1] + STUCK_SECONDS - 0.1) is None
        assert "for 20 s" in (pipeline.alive(doing[1] + STUCK_SECONDS + 0.1) or "")
        assert "lane-0 has been on one batch" in (pipeline.alive(1e12) or "")
        GatedLane.gate.set()
        await task

    run(pipeline, work)


def test_a_retune_under_load_fails_no_request_and_loses_no_slot(
    bench: Any, photographs: dict[str, bytes]
) -> None:
    pipeline = bench.pipeline(lambda ring: SimulatedLane(ring, DIMENSIONS, 0.001, 0.0001))
    good = photographs["rocket.jpg"]

    async def client() -> int:
        done = 0
        for _ in range(8):
            async with pipeline.admission.permit(30):
                done += len(await pipeline.embed_images([good] * 3))
        return done

    async def work() -> None:
        clients = [asyncio.create_task(client()) for _ in range(6)]
        for streams, permits, workers in ((4, 8, 3), (1, 1, 1), (3, 5, 0), (2, 2, 2)):
            wanted = Setting(streams, permits, workers)
            found = await asyncio.to_thread(pipeline.retune, wanted)
            assert found == pipeline.setting
            assert found == Setting(streams, permits, workers or 2, "cpu")
            assert len(pipeline._lanes.threads) == streams
            assert pipeline.admission.size == permits
        assert sum(await asyncio.gather(*clients)) == 6 * 8 * 3

    run(pipeline, work)
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith(("lane-", "decode-", "texts"))}


def test_lanes_share_the_cpu_without_oversubscribing_it(bench: Any) -> None:
    pipeline = bench.pipeline(num_streams=1)
    assert pipeline._lane_threads() == 2
    pipeline.retune(Setting(2, 4))
    assert pipeline._lane_threads() == 1
    asyncio.run(pipeline.close())


def test_a_lane_leaves_the_cores_that_decode(bench: Any) -> None:
    decoding = threading.Event()
    done = threading.Event()

    def slow(*_: object) -> None:
        decoding.set()
        done.wait(20)
        raise ValueError("enough")

    pipeline = bench.pipeline(num_streams=1)
    pipeline._decoding._pixels = slow

    async def work() -> None:
        asking = asyncio.create_task(pipeline.embed_images([b"one"]))
        assert await asyncio.to_thread(decoding.wait, 20)
        assert pipeline._lane_threads() == 1
        done.set()
        await asking

    run(pipeline, work)


def test_a_lane_that_cannot_start_leaves_the_setting_as_it_was(bench: Any) -> None:
    class NoSecond(SimulatedLane):
        def start(self) -> None:
            if len(bench.made) > 1:
                raise MemoryError("no memory for another lane")

    pipeline = bench.pipeline(lambda ring: NoSecond(ring, DIMENSIONS))
    with pytest.raises(ServerFault, match="lane-1 could not start"):
        pipeline.retune(Setting(2, 9))
    assert pipeline.setting == Setting(1, 4, 2, "cpu")
    assert len(pipeline._lanes.threads) == 1
    asyncio.run(pipeline.close())


def test_a_closed_pipeline_takes_nothing(bench: Any, photographs: dict[str, bytes]) -> None:
    pipeline = bench.pipeline()

    async def work() -> None:
        await pipeline.close()
        for late in (pipeline.embed_images([b"x"]), pipeline.embed_texts(["x"])):
            with pytest.raises(ServerFault, match="closing"):
                await late
        with pytest.raises(ServerFault, match="closing"):
            pipeline.retune(Setting(1, 1))

    run(pipeline, work)


def test_texts_have_their_own_way(bench: Any) -> None:
    pipeline = bench.pipeline()

    async def work() -> None:
        found = await pipeline.embed_texts(["a", "bbb"])
        assert [vector[0] for vector in found] == [1, 3]

    run(pipeline, work)


def test_busy_seconds_and_waits_are_counted(bench: Any, photographs: dict[str, bytes]) -> None:
    pipeline = bench.pipeline(lambda ring: SimulatedLane(ring, DIMENSIONS, 0.01))
    value = bench.registry.get_sample_value

    async def work() -> None:
        await pipeline.embed_images([photographs["china.jpg"]] * 8)
        batches = value("embedding_batches_total")
        assert 2 <= batches <= 8
        assert value("embedding_batch_size_sum") == 8
        assert value("embedding_stream_busy_seconds_total") >= 0.01 * batches
        assert value("embedding_decode_busy_seconds_total") > 0
        assert 0 < value("embedding_gil_busy_seconds_total") < 1
        assert value("embedding_loop_busy_seconds_total") > 0
        for stage in ("decode", "h2d", "compute", "d2h"):
            assert value("embedding_stage_duration_seconds_count", {"stage": stage}) > 0
        for stage in ("decode", "queue"):
            assert value("embedding_stage_wait_seconds_count", {"stage": stage}) > 0
        assert value("embedding_warmup_lane_seconds", {"batch": "1"}) >= 0.01
        assert value("embedding_warmup_lane_seconds", {"batch": "4"}) >= 0.01
        assert value("embedding_warmup_decode_seconds", {"device": "cpu"}) > 0
        assert value("embedding_warmup_permit_bytes") > 0
        assert value("embedding_num_streams") == 1

    run(pipeline, work)


class MoodyLane(SimulatedLane):
    """Fails each batch whose number is in `bad`."""

    bad: frozenset[int] = frozenset()
    count = 0

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        type(self).count += 1
        if self.count in self.bad:
            raise RuntimeError("a bad batch")
        return super().run(slots, copied)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_happens_no_slot_and_no_permit_is_lost(
    new_bench: Callable[[], Any], photographs: dict[str, bytes], data: st.DataObject
) -> None:
    """Failing batches, bad images, cancelled requests, retunes: in the end all is free again."""
    MoodyLane.bad = frozenset()
    pipeline = new_bench().pipeline(lambda ring: MoodyLane(ring, DIMENSIONS), max_batch=2)
    MoodyLane.bad = data.draw(st.frozensets(st.integers(9, 30), max_size=6))
    kinds: st.SearchStrategy[list[bytes | ImageFailure]] = st.lists(
        st.sampled_from([photographs["rocket.jpg"], TEXT, MISSING]), max_size=6
    )
    requests = data.draw(st.lists(kinds, min_size=1, max_size=6))
    cancelled = data.draw(st.sets(st.integers(0, len(requests) - 1)))
    streams = data.draw(st.integers(1, 3))

    async def one(images: list[bytes | ImageFailure]) -> int:
        async with pipeline.admission.permit(30):
            return len(await pipeline.embed_images(images))

    async def work() -> None:
        tasks = [asyncio.create_task(one(images)) for images in requests]
        await asyncio.sleep(0)
        for index in cancelled:
            tasks[index].cancel()
        await asyncio.to_thread(pipeline.retune, Setting(streams, 2))
        for images, answer in zip(
            requests, await asyncio.gather(*tasks, return_exceptions=True), strict=True
        ):
            allowed = isinstance(answer, ServerFault | asyncio.CancelledError)
            assert allowed or answer == len(images)
        assert (pipeline.admission.in_flight, pipeline.admission.waiting) == (0, 0)

    run(pipeline, work)


def test_on_a_gpu_overlapping_work_of_two_lanes_keeps_the_device_busy_once(bench: Any) -> None:
    pipeline = bench.pipeline()
    value = bench.registry.get_sample_value
    result = LaneResult(np.zeros((1, DIMENSIONS), np.float32), 0.2, 0.5, 0.1, 0.0)
    pipeline._count_gpu(result, 10.0)
    pipeline._count_gpu(result, 10.1)
    assert value("embedding_gpu_busy_seconds_total") == pytest.approx(0.6)
    assert value("embedding_copy_busy_seconds_total") == pytest.approx(0.3 + 0.2)
    asyncio.run(pipeline.close())
