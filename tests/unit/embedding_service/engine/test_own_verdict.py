"""A pipeline on simulated lanes under load says itself what limits it."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry

from embedding_contract.tuning import Setting
from embedding_service.activity import Activity
from embedding_service.engine import decoding, job, lane_thread
from embedding_service.engine import pipeline as pipeline_module
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.imaging.geometry import Window
from embedding_service.imaging.profile import Interpolation, Profile
from embedding_service.imaging.resample import Pixels, pillow_resample
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web.activity_watch import ActivityWatch

DIMENSIONS = 6
REQUESTS = 20


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


class Clock:
    """Time that passes only where a simulated part says so, whatever this machine is doing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


class Load:
    """One pipeline, its own watch, and clients that ask as the web room would."""

    def __init__(
        self, *, lane_seconds: float = 0.0, decode_seconds: float = 0.0, **settings: Any
    ) -> None:
        self.clock = Clock()
        self.decode_seconds = decode_seconds
        self.instruments = Instruments(CollectorRegistry())
        profile = Profile(size=(8, 8))
        ring = make_ring(2, profile)
        info = ModelInfo("simulated", "none", "fp32", "cpu", DIMENSIONS, (8, 8), 77, False, 2)
        parts = Parts(
            info, profile, ring,
            lambda: SimulatedLane(ring, DIMENSIONS, lane_seconds, wait=self.clock.pass_by),
            lambda texts: np.zeros((len(texts), DIMENSIONS), np.float32),
            self.resample,
        )  # fmt: skip
        wanted = ServerSettings(
            model="simulated",
            pretrained="none",
            cpu_limit=64.0,
            queue_size=100,
            share_identical=False,
            **settings,
        )
        self.pipeline = Pipeline(parts, wanted, self.instruments)
        self.watch = ActivityWatch(self.instruments, self.clock)

    def resample(
        self,
        pixels: Pixels,
        extent: tuple[float, float],
        resized: tuple[int, int],
        window: Window,
        interpolation: Interpolation,
    ) -> Pixels:
        """A resize that takes its time without using the CPU."""
        self.clock.pass_by(self.decode_seconds)
        return pillow_resample(pixels, extent, resized, window, interpolation)

    async def request(self, hold_seconds: float = 0.0) -> None:
        async with self.pipeline.admission.permit(30):
            await self.pipeline.embed_images([picture(), picture()])
            if hold_seconds:  # a client that is slow to send, say
                self.clock.pass_by(hold_seconds)
                self.watch.tick()
        self.instruments.request_finished("ok", 1.0)

    async def crowd(self, hold_seconds: float = 0.0) -> None:
        await asyncio.gather(*(self.request(hold_seconds) for _ in range(REQUESTS)))

    async def one_after_the_other(self) -> None:
        for _ in range(REQUESTS):
            await self.request()
            self.clock.pass_by(1.0)
            self.watch.tick()


@pytest.mark.parametrize(
    ("expected", "settings", "work"),
    [
        ("StreamLimited", {"lane_seconds": 1.0, "semaphore_size": 16}, Load.crowd),
        ("DecodeLimited", {"decode_seconds": 0.5, "semaphore_size": 16}, Load.crowd),
        ("AdmissionLimited", {"semaphore_size": 1}, lambda load: load.crowd(1.0)),
        ("ClientLimited", {"lane_seconds": 0.1, "semaphore_size": 4}, Load.one_after_the_other),
    ],
)
def test_it_says_what_limits_it(
    monkeypatch: pytest.MonkeyPatch,
    expected: str,
    settings: dict[str, Any],
    work: Callable[..., Any],
) -> None:
    load = Load(**settings, decode_workers=1)
    clocks = SimpleNamespace(monotonic=load.clock, thread_time=time.thread_time)
    for module in (pipeline_module, decoding, lane_thread, job):
        monkeypatch.setattr(module, "time", clocks)
    load.watch.tick()

    async def scenario() -> Activity | None:
        try:
            await asyncio.wait_for(work(load), 60)
            return load.watch.activity()
        finally:
            await load.pipeline.close()

    found = asyncio.run(scenario())
    assert found is not None
    assert found.verdict == expected, found.to_mapping()


def test_knobs_that_are_auto_start_as_the_warm_up_suggests() -> None:
    load = Load(lane_seconds=0.01, num_streams=0, semaphore_size=0)
    suggested = load.pipeline.warmup.suggested
    asyncio.run(load.pipeline.close())
    assert load.pipeline.setting == suggested
    assert load.pipeline.admission.size == suggested.semaphore_size


def test_knobs_that_are_given_stay_whatever_is_suggested() -> None:
    load = Load(lane_seconds=0.01, num_streams=2, semaphore_size=17, decode_workers=3)
    asyncio.run(load.pipeline.close())
    assert load.pipeline.setting == Setting(2, 17, 3, "cpu")
    assert set(load.pipeline.warmup.tables.lane_seconds) == {1, 2}
