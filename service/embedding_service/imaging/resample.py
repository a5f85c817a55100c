"""Antialiased resize: the one operation that decides whether vectors agree with open_clip's.

Pillow's algorithm (separable, the kernel widened by the scale) is the reference, because it is
what open_clip's own transform runs on. A faster equal may be passed in as a `Resample`.
"""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedding_service.imaging.geometry import Window
from embedding_service.imaging.profile import Interpolation

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]

FILTERS: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}

NEAREST_MODES: Final = ("1", "P")
"""Pillow takes the nearest pixel here whatever the kernel: half a pixel off is another colour,
so the whole is resized exactly as open_clip's transform does it, then cut."""

MAX_NEAREST_PIXELS: Final = 16_000_000
"""Above this the window alone is computed: a long thin picture must not cost memory."""


class Resample(Protocol):
    """Resizes RGB pixels and cuts a window out of the result."""

    def __call__(
        self,
        pixels: Pixels,
        extent: tuple[float, float],
        resized: tuple[int, int],
        window: Window,
        interpolation: Interpolation,
    ) -> Pixels:
        """Return uint8 RGB [window.height, window.width, 3].

        Args:
            pixels: uint8 RGB [H, W, 3].
            extent: (width, height) of the true picture in pixels of `pixels`.
            resized: (width, height) of the whole picture after the resize.
            window: what is kept of it.
            interpolation: the kernel.
        """
        ...


def pillow_resample(
    pixels: Pixels,
    extent: tuple[float, float],
    resized: tuple[int, int],
    window: Window,
    interpolation: Interpolation,
) -> Pixels:
    """The reference. Computes only the window, so a long thin picture costs no memory."""
    image = resize_window(Image.fromarray(pixels), extent, resized, window, interpolation)
    return np.asarray(image)


def resize_window(
    image: Image.Image,
    extent: tuple[float, float],
    resized: tuple[int, int],
    window: Window,
    interpolation: Interpolation,
) -> Image.Image:
    """Resize a Pillow image in its own mode, window only. Arguments as for `Resample`."""
    if image.mode in NEAREST_MODES and resized[0] * resized[1] <= MAX_NEAREST_PIXELS:
        return image.resize(resized).crop(
            (window.left, window.top, window.left + window.width, window.top + window.height)
        )
    across, down = extent[0] / resized[0], extent[1] / resized[1]
    box: Box = (
        window.left * across,
        window.top * down,
        min(float(image.width), (window.left + window.width) * across),
        min(float(image.height), (window.top + window.height) * down),
    )
    return image.resize((window.width, window.height), FILTERS[interpolation], box=box)
