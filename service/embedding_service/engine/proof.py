"""What the first lane must prove before anybody is served: right vectors, and at which speed.

It runs once, in the lane's own thread: the golden images go through decoders, slots and this very
lane (with its graphs on a GPU), then batches of several sizes are timed.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np

from embedding_contract.tuning import setting_to_mapping
from embedding_service.engine import cpu_limit, parity, warmup
from embedding_service.engine.lane import Lane
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parity import Vectors
from embedding_service.engine.parts import Parts
from embedding_service.engine.slots import Pixels
from embedding_service.engine.starting import (
    WarmUp,
    WarmupTables,
    starting_setting,
)
from embedding_service.errors import ParityMissed
from embedding_service.metrics import Instruments

_log = logging.getLogger(__name__)


class Proof:
    """Give it to the first lane's thread, then ask it."""

    def __init__(self, parts: Parts, pixels_of: Callable[[bytes], Pixels]) -> None:
        """`pixels_of` is the serving way from encoded bytes to uint8 [H, W, 3]."""
        self._parts = parts
        self._pixels_of = pixels_of
        images = () if parts.reference is None else parts.reference.images
        self._golden = [pixels_of(image) for image in images]
        self._vectors: Vectors = np.empty((0, parts.info.dimensions), np.float32)
        self.lane_seconds: dict[int, float] = {}
        """Lane seconds by batch size, once the lane ran."""

    def __call__(self, lane: Lane) -> None:
        """Run the golden images and the timed batches; called in the lane's thread."""
        ring, most = self._parts.ring, self._parts.info.max_batch
        if self._golden:
            self._vectors = warmup.through_lane(lane, ring, self._golden, most)
        self.lane_seconds = warmup.lane_table(warmup.run_lane(lane, ring), most)

    def checked(self, count: Instruments) -> ModelInfo:
        """Compare with the reference, show the figures, and return the model with them.

        Raises:
            ParityMissed: the vectors would not be the reference's; with what to do.
        """
        info, reference = self._parts.info, self._parts.reference
        if reference is None:
            return info
        texts = self._parts.encode_texts(reference.texts)
        found = parity.compare(reference, np.stack(self._golden), self._vectors, texts)
        count.parity(found.cosine_min, found.pixel_difference_max)
        _log.info("parity checked", extra=asdict(found))
        problem = parity.miss(found, info.precision, self._parts.preprocess)
        if problem is not None:
            raise ParityMissed(problem)
        return replace(info, parity=found)

    def warm_up(self, cores: float, lane_bytes: float) -> WarmUp:
        """Measure the decoders too and work out the setting that follows.

        Args:
            cores: cores that the container may use.
            lane_bytes: memory that the lane added.
        """
        sample = warmup.sample_jpeg()
        memory = None if self._parts.memory_bytes is None else self._parts.memory_bytes()
        tables = WarmupTables(
            lane_seconds=self.lane_seconds,
            decode_seconds=warmup.decode_seconds(self._pixels_of, sample),
            lane_bytes=lane_bytes,
            permit_bytes=warmup.permit_bytes(sample, self._parts.info.dimensions),
            free_bytes=None if memory is None else memory[1] - memory[0],
        )
        return WarmUp(tables, starting_setting(tables, cores, cpu_limit.memory_limit_bytes()))


def show(found: WarmUp, count: Instruments) -> None:
    """Export the tables: the operator predicts from them."""
    tables = found.tables
    for batch, seconds in tables.lane_seconds.items():
        count.warmup_lane(batch, seconds)
    count.warmup_decode("cpu", tables.decode_seconds)
    count.warmup_bytes(tables.lane_bytes, tables.permit_bytes)
    _log.info("warm", extra={"suggested": setting_to_mapping(found.suggested)})
