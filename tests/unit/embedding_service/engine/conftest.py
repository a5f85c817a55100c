"""Small simulated parts and real photographs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import skimage
import sklearn
from prometheus_client import CollectorRegistry

from embedding_service.engine.lane import Lane
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.simulated_lane import SimulatedLane
from embedding_service.imaging.profile import Profile
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings

DIMENSIONS = 6


@dataclass
class Bench:
    """Makes pipelines on simulated lanes and closes nothing by itself."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    made: list[Any] = field(default_factory=list)

    def pipeline(self, make_lane: Callable[[Any], Lane] | None = None, **settings: Any) -> Pipeline:
        max_batch = settings.setdefault("max_batch", 4)
        # Tests send the same photographs again and again, and want each one to be computed.
        settings.setdefault("share_identical", False)
        profile = Profile(size=(8, 8))
        ring = make_ring(max_batch, profile)
        info = ModelInfo(
            "simulated", "none", "fp32", "cpu", DIMENSIONS, (8, 8), 77, False, max_batch
        )

        def lane() -> Lane:
            made = make_lane(ring) if make_lane else SimulatedLane(ring, DIMENSIONS)
            self.made.append(made)
            return made

        parts = Parts(info, profile, ring, lane, _encode_texts)
        wanted = ServerSettings(model="simulated", pretrained="none", cpu_limit=2, **settings)
        return Pipeline(parts, wanted, Instruments(self.registry))


def _encode_texts(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """One row for each text, told by its length."""
    if "broken" in texts:
        raise RuntimeError("a broken text")
    return np.array([[len(text)] * DIMENSIONS for text in texts], np.float32)


@pytest.fixture(scope="session")
def new_bench() -> Callable[[], Bench]:
    """The way to make several benches in one test."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """A place to make pipelines on simulated lanes."""
    return Bench()


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """Real photographs: three JPEG, two PNG."""
    folders = {
        "china.jpg": (sklearn, "datasets/images"), "flower.jpg": (sklearn, "datasets/images"),
        "rocket.jpg": (skimage, "data"), "astronaut.png": (skimage, "data"),
        "chelsea.png": (skimage, "data"),
    }  # fmt: skip
    return {
        name: (Path(str(package.__file__)).parent / folder / name).read_bytes()
        for name, (package, folder) in folders.items()
    }
