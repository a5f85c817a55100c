"""EXIF orientation: how a picture is stored against how it is meant to be seen.

Each of the eight cases is a transposition, then flips. Small pictures are turned, never large
ones: the window to cut is taken back into stored coordinates first.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from embedding_service.imaging.geometry import Window

_CASES: Final[dict[int, tuple[bool, bool, bool]]] = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}
"""orientation -> (transpose, then flip left-right, then flip top-bottom)."""


def seen_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return (width, height) as seen, from the size as stored. It is its own inverse."""
    return (height, width) if _CASES[orientation][0] else (width, height)


def turn(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn stored pixels [H, W, C] into seen pixels; a view, not a copy."""
    transpose, left_right, top_bottom = _CASES[orientation]
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    if left_right:
        pixels = pixels[:, ::-1]
    if top_bottom:
        pixels = pixels[::-1]
    return pixels


def stored_window(window: Window, width: int, height: int, orientation: int) -> Window:
    """Return where a window of the seen picture (`width` x `height`) lies in the stored one."""
    transpose, left_right, top_bottom = _CASES[orientation]
    left = width - window.left - window.width if left_right else window.left
    top = height - window.top - window.height if top_bottom else window.top
    if transpose:
        return Window(top, left, window.height, window.width)
    return Window(left, top, window.width, window.height)
