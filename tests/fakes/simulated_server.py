"""The whole server on simulated lanes: all of it is real, only the model is made up."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from embedding_service.engine.lane import Lane, LaneResult
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.engine.slots import SlotRing
from embedding_service.imaging.profile import Profile
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web.serving import Serving
from fakes.pipeline import FakePipeline
from fakes.web import FixedReporter, Web, settings_with

DIMENSIONS = 6


class CopyingLane(SimulatedLane):
    """A lane whose device has memory of its own, as a GPU."""

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        """Say that copies took a millisecond each way."""
        return replace(super().run(slots, copied), copy_in_seconds=0.001, copy_out_seconds=0.001)

    def memory_bytes(self) -> int:
        """As if each lane held a mebibyte."""
        return 2**20


MakeLane = Callable[[SlotRing], Lane]


def simulated_parts(
    settings: ServerSettings, *, on_gpu: bool = False, make_lane: MakeLane | None = None
) -> Parts:
    """Return parts whose lanes take one millisecond a batch, unless `make_lane` makes others."""
    profile = Profile(size=(8, 8))
    ring = make_ring(settings.max_batch, profile)
    device = "cuda" if on_gpu else "cpu"
    info = ModelInfo(
        settings.model, "none", "fp32", device, DIMENSIONS, (8, 8), 77, False, settings.max_batch
    )
    kind = CopyingLane if on_gpu else SimulatedLane
    return Parts(
        info,
        profile,
        ring,
        lambda: make_lane(ring) if make_lane else kind(ring, DIMENSIONS, 0.001),
        _encode_texts,
        memory_bytes=(lambda: (2**30, 2**34)) if on_gpu else None,
    )


def _encode_texts(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """One unit vector for each text, told by its length; the text `broken` breaks the encoder."""
    if "broken" in texts:
        raise RuntimeError("a broken text")
    lengths = np.array([len(text) for text in texts], np.float32)
    raw = np.cos(lengths[:, None] * np.linspace(0.1, 1.0, DIMENSIONS, dtype=np.float32)) + 1e-3
    unit: npt.NDArray[np.float32] = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    return unit


@contextmanager
def simulated_web(
    *, on_gpu: bool = False, make_lane: MakeLane | None = None, **values: object
) -> Iterator[tuple[Pipeline, Web]]:
    """Build the server, warm it up, and end its threads afterwards; `values` are settings."""
    fields: dict[str, object] = {"model": "simulated", "cpu_limit": 2.0, "max_batch": 4}
    settings = settings_with(**(fields | values))
    instruments = Instruments(CollectorRegistry())
    pipeline = build_pipeline(
        settings,
        instruments,
        lambda wanted: simulated_parts(wanted, on_gpu=on_gpu, make_lane=make_lane),
    )
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    try:
        yield pipeline, Web(settings, serving, FakePipeline(settings), instruments)
    finally:
        asyncio.run(pipeline.close())
