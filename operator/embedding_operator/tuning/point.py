"""One setting with every knob resolved: the coordinates in which the laws think.

A Setting may say "auto"; the server resolves it and shows the result in its metrics.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from embedding_contract.tuning import Setting
from embedding_operator.tuning.sample import Sample

STREAM_STEPS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
PERMIT_STEPS: Final = (
    1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """Lanes, permits, decode threads, and whether JPEGs are decoded on the GPU."""

    streams: int
    permits: int
    workers: int
    on_gpu: bool = False

    def changed(self, other: "Point") -> int:
        """How many knobs differ. Decode threads do not count where the GPU decodes."""
        return (
            (self.streams != other.streams)
            + (self.permits != other.permits)
            + (self.workers != other.workers and not self.on_gpu)
            + (self.on_gpu != other.on_gpu)
        )

    def near(self, other: "Point") -> bool:
        """Whether both lie within 0.6 octaves in every knob, on the same decode device."""
        pairs = (
            (self.streams, other.streams),
            (self.permits, other.permits),
            (self.workers, other.workers),
        )
        return self.on_gpu == other.on_gpu and all(
            abs(math.log2(mine / theirs)) <= 0.6 for mine, theirs in pairs
        )


def resolve(setting: Setting, sample: Sample) -> Point:
    """Put the server's numbers in the place of 0 and "auto"."""
    workers = setting.decode_workers or round(sample.decode_workers)
    device = setting.decode_device
    on_gpu = sample.decodes_on_gpu if device == "auto" else device == "gpu"
    return Point(setting.num_streams, setting.semaphore_size, workers, on_gpu)


def to_setting(point: Point, current: Setting, at: Point) -> Setting:
    """Write a point as a setting; a knob that did not move keeps its words (0, "auto").

    `at` is `current` resolved.
    """
    moved = replace(current, num_streams=point.streams, semaphore_size=point.permits)
    if point.on_gpu != at.on_gpu:
        moved = replace(moved, decode_device="gpu" if point.on_gpu else "cpu")
    if point.workers != at.workers:
        moved = replace(moved, decode_workers=point.workers)
    return moved


def step(value: int, steps: tuple[int, ...], by: int) -> int:
    """Go up or down a ladder of sensible values, from the nearest one."""
    nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - value))
    return steps[max(0, min(len(steps) - 1, nearest + by))]
