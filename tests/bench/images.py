"""The image sets: real photographs, scaled to a camera's sizes, with a camera's bytes.

A photograph that is enlarged has no fine detail, and its JPEG is several times smaller than what a
camera writes. Decoding costs by pixels *and* by bytes, so grain is added until the bytes fit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from load.photographs import Photograph, photographs

SIZES: Final = {"vga": (640, 480), "fhd": (1920, 1080), "12mp": (4032, 3024)}
"""Name to (width, height) in pixels."""

CAMERA_BYTES: Final = {"vga": 78_000, "fhd": 361_000, "12mp": 2_980_000}
"""Bytes of one image at quality 90. Photographs differ: each is aimed at 0.7 to 1.3 of it."""

QUALITY: Final = 90
_PICTURES: Final = (
    "china.jpg", "flower.jpg", "grace_hopper.jpg", "astronaut.png", "chelsea.png", "coffee.png",
)  # fmt: skip
_SHARES: Final = (1.3, 0.8, 0.9, 1.0, 0.7, 1.2)
"""How many bytes each picture has, of CAMERA_BYTES."""

_MOST_GRAIN: Final = 24.0
Pixels = npt.NDArray[np.uint8]


def image_set(name: str) -> tuple[bytes, ...]:
    """Return the JPEG files of one set; the same bytes in every run of one version of OpenCV."""
    shipped = {photograph.name: photograph for photograph in photographs()}
    return tuple(
        _camera_like(_scaled(shipped[picture], SIZES[name]), int(share * CAMERA_BYTES[name]))
        for picture, share in zip(_PICTURES, _SHARES, strict=True)
    )


def written(name: str, folder: Path) -> list[Path]:
    """Write one set into `folder` and return its files in order."""
    files = []
    for number, data in enumerate(image_set(name)):
        file = folder / f"{name}-{number}.jpg"
        file.write_bytes(data)
        files.append(file)
    return files


def described(name: str, files: Sequence[Path]) -> str:
    """Say what a set is, in one line."""
    width, height = SIZES[name]
    sizes = sorted(file.stat().st_size for file in files)
    return (
        f"{len(files)} photographs of {width}x{height}, {sizes[0] // 1000} to "
        f"{sizes[-1] // 1000} kB, {sum(sizes) // len(sizes) // 1000} kB in the mean"
    )


def _scaled(photograph: Photograph, size: tuple[int, int]) -> Pixels:
    """Cut the middle to the shape of `size` and scale it; uint8 BGR."""
    pixels = cv2.imdecode(np.frombuffer(photograph.data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise RuntimeError(f"OpenCV cannot read {photograph.name}")
    height, width = pixels.shape[:2]
    factor = min(width / size[0], height / size[1])
    wide, high = round(size[0] * factor), round(size[1] * factor)
    left, top = (width - wide) // 2, (height - high) // 2
    cut = pixels[top : top + high, left : left + wide]
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


def _camera_like(pixels: Pixels, aim: int) -> bytes:
    """Encode with just so much grain that the file has about `aim` bytes, where it can."""
    grain = _grain_for(_middle(pixels), aim * _middle(pixels).size / pixels.size)
    return _encoded(_grainy(pixels, grain))


def _middle(pixels: Pixels) -> Pixels:
    """A quarter of the height and width: enough to find the grain, sixteen times as fast."""
    height, width = (side // 16 * 16 for side in pixels.shape[:2])
    rows, columns = slice(height * 3 // 8, height * 5 // 8), slice(width * 3 // 8, width * 5 // 8)
    return pixels[rows, columns]


def _grain_for(sample: Pixels, aim: float) -> float:
    low, high = 0.0, _MOST_GRAIN
    for _ in range(8):
        middle = (low + high) / 2
        too_few = len(_encoded(_grainy(sample, middle))) < aim
        low, high = (middle, high) if too_few else (low, middle)
    return low


def _grainy(pixels: Pixels, grain: float) -> Pixels:
    """Add the same noise to the three colours: a sensor's noise is one of brightness mostly."""
    noise = np.random.default_rng(0).standard_normal(pixels.shape[:2], np.float32)[..., None]
    return np.clip(pixels + grain * noise, 0, 255).astype(np.uint8)


def _encoded(pixels: Pixels) -> bytes:
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode the photograph")
    return encoded.tobytes()
