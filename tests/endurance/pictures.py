"""Made photographs of any size: no file is needed, and the same seed gives the same bytes."""

import numpy as np
import simplejpeg

from load.photographs import Photograph


def picture(width: int, height: int, seed: int = 0) -> Photograph:
    """Return a JPEG that costs about what a photograph of its size costs."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 9, height)[:, None, None]
    columns = np.linspace(0, 9, width)[None, :, None]
    waves = np.sin(rows * columns + np.array([0.0, 1.0, 2.0]))
    pixels = 128 + 60 * waves + random.normal(0, 7, (height, width, 1))
    data = simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), 85)
    return Photograph(f"{seed}.jpg", data, width, height)
