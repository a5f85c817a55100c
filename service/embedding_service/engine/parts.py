"""The parts that a pipeline is built from; the device's own ones are made in one place each.

Law: no torch here. `torch_parts` makes the real ones, tests make simulated ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embedding_service.engine.lane import Lane
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parity import Reference
from embedding_service.engine.slots import Pixels, SlotRing
from embedding_service.imaging.profile import Profile
from embedding_service.imaging.resample import Resample, pillow_resample

SLOT_MEMORY_BYTES = 256 * 1024 * 1024
"""The ring takes at most this much, but always two full batches."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What depends on the model and the device.

    `prepare_thread` runs once in each decode thread. `memory_bytes` gives (used, total) of a GPU
    and is None on a CPU. `reference` is what the golden images must become, None without the
    parity check; `preprocess` names the way pixels are made, for its message.
    """

    info: ModelInfo
    profile: Profile
    ring: SlotRing
    make_lane: Callable[[], Lane]
    encode_texts: Callable[[Sequence[str]], npt.NDArray[np.float32]]
    resample: Resample = pillow_resample
    prepare_thread: Callable[[], None] = field(default=lambda: None)
    memory_bytes: Callable[[], tuple[int, int]] | None = None
    linger_seconds: float = 0.0
    reference: Reference | None = None
    preprocess: str = "model"


def make_ring(
    max_batch: int,
    profile: Profile,
    allocate: Callable[[tuple[int, ...]], Pixels] = lambda shape: np.zeros(shape, np.uint8),
) -> SlotRing:
    """Make the ring: eight batches, or fewer where pictures or batches are large."""
    width, height = profile.size
    affordable = SLOT_MEMORY_BYTES // (width * height * 3)
    count = max(2 * max_batch, min(8 * max_batch, affordable))
    return SlotRing(count, height, width, allocate)
