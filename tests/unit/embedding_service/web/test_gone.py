"""A client that leaves a real connection takes its permit and its slots along at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from embedding_service.engine.lane import LaneResult
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.imaging.profile import Profile
from embedding_service.metrics import Instruments
from embedding_service.web.serving import Serving
from fakes.pipeline import FakePipeline
from fakes.waiting import until
from fakes.web import FixedReporter, Web, over_socket, settings_with
from load.photographs import photographs

DIMENSIONS, MAX_BATCH = 4, 2


class Held(SimulatedLane):
    """Computes only while its gate is open."""

    gate = threading.Event()

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        assert self.gate.wait(20)
        return super().run(slots, copied)


@pytest.fixture
def served() -> Iterator[tuple[Pipeline, Web]]:
    Held.gate.set()
    settings = settings_with(max_batch=MAX_BATCH, semaphore_size=2, share_identical=False)
    instruments = Instruments(CollectorRegistry())
    profile = Profile(size=(8, 8))
    ring = make_ring(MAX_BATCH, profile)
    info = ModelInfo("held", "none", "fp32", "cpu", DIMENSIONS, (8, 8), 77, False, MAX_BATCH)
    parts = Parts(
        info, profile, ring, lambda: Held(ring, DIMENSIONS), lambda texts: np.zeros((1, 4), "f4")
    )
    pipeline = Pipeline(parts, settings, instruments)
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    Held.gate.clear()
    yield pipeline, Web(settings, serving, FakePipeline(settings), instruments)
    Held.gate.set()
    asyncio.run(pipeline.close())
    assert ring.free == ring.count


def album(images: int) -> bytes:
    """Return a whole request of many uploads."""
    data = photographs(1)[0].data
    parts = b"".join(
        b'--b\r\ncontent-disposition: form-data; name="files"; filename="%d.jpg"\r\n\r\n%b\r\n'
        % (number, data)
        for number in range(images)
    )
    body = parts + b"--b--\r\n"
    head = b"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body)
    return head + b"content-type: multipart/form-data; boundary=b\r\n\r\n" + body


def test_a_closed_connection_frees_its_permit_and_its_slots_while_the_lane_is_busy(
    served: tuple[Pipeline, Web],
) -> None:
    pipeline, web = served
    ring = pipeline._parts.ring

    async def run() -> None:
        async with over_socket(web) as client:
            host, port = client.base_url.host, client.base_url.port
            _, writer = await asyncio.open_connection(host, port)
            writer.write(album(40))
            await writer.drain()
            await until(lambda: not ring.free)
            assert (pipeline.admission.in_flight, pipeline._batcher.waiting) != (0, 0)
            writer.transport.abort()
            await until(lambda: pipeline.admission.in_flight == 0)
            # What the lane has in its hands is all that is still taken.
            await until(lambda: ring.free >= ring.count - MAX_BATCH)
            assert pipeline._batcher.waiting == 0
            assert len(pipeline._pool._jobs) == 0
            Held.gate.set()
            answer = await client.post("/embed", files=[("files", photographs(1)[0].data)])
            assert answer.status_code == 200

    asyncio.run(run())
    assert web.count("embedding_requests_total", outcome="cancelled") == 1
    assert web.count("embedding_batches_total") <= 2
