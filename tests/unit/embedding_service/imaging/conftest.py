"""Real photographs in every form that a user may send."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import sklearn
from PIL import Image

PLACES = (
    (sklearn, "datasets/images/china.jpg"),
    (sklearn, "datasets/images/flower.jpg"),
    (skimage, "data/rocket.jpg"),
    (skimage, "data/astronaut.png"),
    (skimage, "data/camera.png"),
    (skimage, "data/chelsea.png"),
    (skimage, "data/horse.png"),
    (skimage, "data/logo.png"),
    (skimage, "data/no_time_for_that_tiny.gif"),
)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def shipped() -> dict[str, bytes]:
    paths = [Path(str(package.__file__)).parent / name for package, name in PLACES]
    return {path.name: path.read_bytes() for path in paths}


def sized(photograph: Image.Image) -> dict[str, bytes]:
    def jpeg(width: int, height: int, **options: object) -> bytes:
        image = photograph.resize((width, height), Image.Resampling.BICUBIC)
        return encoded(image, "JPEG", quality=90, **options)

    return {
        "full hd": jpeg(1920, 1080),
        "odd": jpeg(1919, 1077),
        "huge": jpeg(4032, 3024),
        "tall": jpeg(300, 2400),
        "wide": jpeg(2400, 300),
        "tiny": jpeg(20, 13),
        "one pixel": jpeg(1, 1),
        "progressive": jpeg(1500, 1100, progressive=True),
        "very wide": encoded(photograph.resize((6000, 40)), "PNG"),
    }


def coloured(photograph: Image.Image) -> dict[str, bytes]:
    clear = photograph.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    grey16 = np.asarray(photograph.convert("L")).astype(np.uint16) * 257
    rgb16 = np.asarray(photograph).astype(np.uint16) * 257
    large = photograph.resize((1500, 1100), Image.Resampling.BICUBIC)
    return {
        "cmyk jpeg": encoded(large.convert("CMYK"), "JPEG", quality=90),
        "grey jpeg": encoded(large.convert("L"), "JPEG", quality=90),
        "rgba png": encoded(clear, "PNG"),
        "rgba webp": encoded(clear, "WEBP", lossless=True),
        "grey alpha png": encoded(clear.convert("LA"), "PNG"),
        "palette png": encoded(photograph.quantize(64), "PNG"),
        "clear palette png": encoded(clear.quantize(64), "PNG"),
        "gif": encoded(photograph.quantize(128), "GIF"),
        "webp": encoded(photograph, "WEBP", quality=80),
        "bmp": encoded(photograph, "BMP"),
        "tiff": encoded(photograph, "TIFF"),
        "cmyk tiff": encoded(photograph.convert("CMYK"), "TIFF"),
        "one bit png": encoded(photograph.convert("1"), "PNG"),
        "16 bit grey png": encoded(Image.fromarray(grey16), "PNG"),
        "16 bit rgb png": cv2.imencode(".png", rgb16[:, :, ::-1])[1].tobytes(),
    }


def turned(photograph: Image.Image) -> dict[str, bytes]:
    image = photograph.resize((1201, 803), Image.Resampling.BICUBIC)
    forms: dict[str, bytes] = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        forms[f"exif {orientation}"] = encoded(image, "JPEG", quality=90, exif=exif.tobytes())
    forms["exif 6 png"] = encoded(photograph, "PNG", exif=exif_of(6).tobytes())
    forms["exif 8 webp"] = encoded(photograph, "WEBP", exif=exif_of(8).tobytes())
    forms["exif 5 tiff"] = encoded(photograph, "TIFF", exif=exif_of(5))
    return forms


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """A real photograph, RGB, 640 x 427."""
    data = shipped()["china.jpg"]
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.fixture(scope="session")
def samples(photograph: Image.Image) -> dict[str, bytes]:
    """Encoded images by name: real files, and a real photograph in many forms."""
    return shipped() | sized(photograph) | coloured(photograph) | turned(photograph)
