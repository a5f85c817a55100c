"""Where pixels go: the sizes and windows of open_clip's own transform, as numbers.

Source: open_clip.transform.image_transform (is_train=False) and the torchvision transforms that
it uses. Rounding is theirs to the pixel: Python's round (half to even), int() for truncation.
"""

from dataclasses import dataclass
from typing import Literal

ResizeMode = Literal["shortest", "longest", "squash"]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Resize the whole picture to `resized` (width, height), cut `window` out of that, and put
    it at `at` (left, top) on the target canvas.
    """  # noqa: D205

    resized: tuple[int, int]
    window: Window
    at: tuple[int, int]


def place(width: int, height: int, target: tuple[int, int], mode: ResizeMode) -> Placement:
    """Plan the way of a `width` x `height` picture onto a `target` (width, height) canvas."""
    resized = _resized(width, height, target, mode)
    across = _cut(resized[0], target[0])
    down = _cut(resized[1], target[1])
    window = Window(across[0], down[0], across[1], down[1])
    return Placement(resized, window, (across[2], down[2]))


def _resized(width: int, height: int, target: tuple[int, int], mode: ResizeMode) -> tuple[int, int]:
    if mode == "squash":
        return target
    if mode == "shortest" and target[0] == target[1]:
        if width <= height:
            return target[0], int(target[0] * height / width)
        return int(target[0] * width / height), target[0]
    ratios = width / target[0], height / target[1]
    ratio = max(ratios) if mode == "longest" else min(ratios)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _cut(length: int, target: int) -> tuple[int, int, int]:
    """Return (start, length) of what is kept on one axis and where it lands on the canvas."""
    if length < target:
        return 0, length, (target - length) // 2
    return round((length - target) / 2), target, 0
