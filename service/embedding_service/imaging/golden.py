"""Golden images: a few small pictures of the kinds that go wrong, made in code, the same each time.

They are what the self-test at start-up sends through the whole path: shapes that tell a crop from a
squash, colour modes that must be resized before they are converted, a camera that lay on its side.
"""

import io
from typing import Final

import numpy as np
from PIL import Image

from embedding_service.imaging.decode import Pixels

_QUALITY: Final = 90
_ORIENTATION: Final = 274
"""EXIF's tag; 6 means: turn it a quarter to the right to see it upright."""


def golden_images() -> dict[str, bytes]:
    """Return encoded images by name; about 2.5 million pixels together, 50 ms to make."""
    turned = Image.Exif()
    turned[_ORIENTATION] = 6
    wide = Image.fromarray(_scene(1500, 950, 1))  # large enough for the scaled decode
    tall = Image.fromarray(_scene(300, 800, 2))
    alpha = Image.fromarray(_scene(400, 320, 3)).convert("RGBA")
    alpha.putalpha(Image.fromarray(_scene(400, 320, 4)[..., 0]))
    return {
        "wide.jpg": _encoded(wide, "JPEG", quality=_QUALITY),
        "tall.jpg": _encoded(tall, "JPEG", quality=_QUALITY),
        "turned.jpg": _encoded(
            Image.fromarray(_scene(640, 360, 5)), "JPEG", quality=_QUALITY, exif=turned
        ),
        "progressive.jpg": _encoded(
            Image.fromarray(_scene(500, 400, 6)), "JPEG", quality=_QUALITY, progressive=True
        ),
        "grey.png": _encoded(Image.fromarray(_scene(360, 500, 7)[..., 1]), "PNG", compress_level=1),
        "alpha.png": _encoded(alpha, "PNG", compress_level=1),
        "tiny.png": _encoded(Image.fromarray(_scene(40, 30, 8)), "PNG", compress_level=1),
    }


def _scene(width: int, height: int, seed: int) -> Pixels:
    """Return uint8 RGB [height, width, 3]: soft shapes, edges and grain, as photographs have."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    columns = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :]
    pixels = np.empty((height, width, 3), np.float32)
    grain = random.normal(0.0, 4.0, (height, width)).astype(np.float32)
    for colour in range(3):
        fast, slow, phase = random.uniform(8, 20), random.uniform(2, 6), random.uniform(0, 6)
        waves = np.sin(slow * rows + phase) * np.cos(slow * columns) * 60
        waves = waves + np.sin(fast * (rows + columns * random.uniform(0.3, 2.0))) * 25
        pixels[..., colour] = 128 + waves + grain
    for _ in range(6):  # discs with hard edges
        row, column, radius = random.uniform(0, 1, 3) * (1, 1, 0.2)
        inside = (rows - row) ** 2 + ((columns - column) * width / height) ** 2 < radius**2
        pixels[inside] = random.uniform(0, 255, 3).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
