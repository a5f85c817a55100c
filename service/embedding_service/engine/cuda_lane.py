"""A lane on an NVIDIA GPU: one stream, graphs for each batch bucket, an event to wait on.

Small batches are bound by kernel launches (ViT-B/32, one image: 4.0 ms launched one by one, 0.9 ms
as a graph), so the forward pass is captured once for each power of two and replayed. Where the
capture fails, the lane computes without graphs, says so once and counts the batches.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from embedding_service.engine.encoder import Encoder
from embedding_service.engine.lane import LaneResult, OutOfDeviceMemory
from embedding_service.engine.slots import SlotRing, runs

_log = logging.getLogger(__name__)

_WARM_UP_PASSES = 3
"""Passes before a capture: libraries choose their kernels and allocate in the first ones."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """Points in time on the stream: before the copy in, after it, after compute, at the end."""

    start: torch.cuda.Event
    copied: torch.cuda.Event
    computed: torch.cuda.Event
    end: torch.cuda.Event


class CudaLane:
    """Satisfies `Lane`."""

    def __init__(self, encoder: Encoder, ring: SlotRing, max_batch: int) -> None:
        self._encoder = encoder
        self._max_batch = max_batch
        self._ring = torch.from_numpy(ring.pixels)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._outputs: dict[int, torch.Tensor] = {}
        self._memory = 0
        self.eager_batches = 0
        """Batches computed without a graph since the start."""

    def start(self) -> None:
        """Make the stream and buffers, warm up, capture one graph for each bucket."""
        torch.cuda.set_device(self._encoder.device)
        free_before, _ = torch.cuda.mem_get_info()
        height, width = self._encoder.info.image_size
        shape = (self._max_batch, height, width, 3)
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream), torch.inference_mode():
            self._input = torch.zeros(shape, dtype=torch.uint8, device=self._encoder.device)
            self._answer = torch.empty(
                (self._max_batch, self._encoder.info.dimensions), pin_memory=True
            )
            self._marks = _Marks(*(_event() for _ in range(4)))
            self._capture_all()
        self._stream.synchronize()
        self._memory = max(0, free_before - torch.cuda.mem_get_info()[0])

    def share(self, threads: int) -> None:
        """The device computes; CPU threads do not matter here."""

    def run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        """Copy in, compute and copy out on this lane's stream; wait on its events only.

        Raises:
            OutOfDeviceMemory: half the batch may fit.
        """
        try:
            return self._run(slots, copied)
        except torch.cuda.OutOfMemoryError as error:
            self._stream.synchronize()  # copies from the slots may still be on their way
            torch.cuda.empty_cache()
            raise OutOfDeviceMemory(str(error)) from error

    def _run(self, slots: Sequence[int], copied: Callable[[], None]) -> LaneResult:
        count = len(slots)
        with torch.cuda.stream(self._stream), torch.inference_mode():
            self._marks.start.record(self._stream)
            for position, slot, length in runs(slots):
                self._input[position : position + length].copy_(
                    self._ring[slot : slot + length], non_blocking=True
                )
            self._marks.copied.record(self._stream)
            vectors = self._forward(count)
            self._marks.computed.record(self._stream)
            self._answer[:count].copy_(vectors[:count], non_blocking=True)
            self._marks.end.record(self._stream)
        waited = time.thread_time()
        self._marks.copied.synchronize()
        copied()
        self._marks.end.synchronize()
        unlocked = time.thread_time() - waited
        return self._result(count, unlocked)

    def memory_bytes(self) -> int:
        """Return the device memory that appeared while this lane started."""
        return self._memory

    def _forward(self, count: int) -> torch.Tensor:
        bucket = next((size for size in sorted(self._graphs) if size >= count), None)
        if bucket is None:
            self.eager_batches += 1
            return self._encoder.encode_pixels(self._input[:count])
        self._graphs[bucket].replay()
        return self._outputs[bucket]

    def _result(self, count: int, unlocked: float) -> LaneResult:
        marks = self._marks
        return LaneResult(
            vectors=np.array(self._answer[:count].numpy(), np.float32),
            copy_in_seconds=marks.start.elapsed_time(marks.copied) / 1000,
            compute_seconds=marks.copied.elapsed_time(marks.computed) / 1000,
            copy_out_seconds=marks.computed.elapsed_time(marks.end) / 1000,
            unlocked_seconds=unlocked,
        )

    def _capture_all(self) -> None:
        """Largest bucket first: the smaller ones fit into the memory that it reserved."""
        pool = None
        for bucket in reversed(buckets(self._max_batch)):
            try:
                graph, output = self._capture(bucket, pool)
            except RuntimeError as error:
                _log.warning(
                    "no CUDA graph for batches of %d, computing without: %s", bucket, error
                )
                self._stream.synchronize()
                return
            pool = graph.pool()
            self._graphs[bucket], self._outputs[bucket] = graph, output

    def _capture(self, bucket: int, pool: Any) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        pixels = self._input[:bucket]
        for _ in range(_WARM_UP_PASSES):
            self._encoder.encode_pixels(pixels)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other lanes keep computing meanwhile; only this thread's calls belong to the graph.
        with torch.cuda.graph(
            graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            output = self._encoder.encode_pixels(pixels)
        return graph, output


def buckets(max_batch: int) -> list[int]:
    """Return the batch sizes that get a graph: powers of two and the largest batch itself."""
    sizes = {max_batch}
    size = 1
    while size < max_batch:
        sizes.add(size)
        size *= 2
    return sorted(sizes)


def pinned_pixels(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Allocate page-locked host memory: copies from it run beside everything else."""
    tensor = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
    return cast("npt.NDArray[np.uint8]", tensor.numpy())


def memory_bytes() -> tuple[int, int]:
    """Return (used, total) memory of the device in bytes, all processes together."""
    free, total = torch.cuda.mem_get_info()
    return total - free, total


def _event() -> torch.cuda.Event:
    # Blocking: a thread that waits must not burn the core that decodes.
    return torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
