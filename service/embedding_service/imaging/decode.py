"""Encoded bytes to a picture, no larger than what is needed and no smaller than twice that.

JPEG goes through libjpeg-turbo's scaled inverse DCT; at two times the target or more the result
stays within the contract of preprocessing. Everything else, and every JPEG that is not plain,
goes through Pillow, which is what open_clip's users decode with.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.imaging.probe import Header, check_pixels

Pixels = npt.NDArray[np.uint8]

# The header was checked against our own limit; Pillow's global one would only warn or get in the
# way of a larger limit that a user has set.
Image.MAX_IMAGE_PIXELS = None

# One image is one thread's work here: the pool decides how many there are.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

# Python remembers every warning text that it has shown, and hostile files make new ones for ever.
warnings.filterwarnings("ignore", module=r"PIL\.")

OVERSIZE: Final = 2
"""A scaled decode keeps at least this many pixels for each pixel of the result, per axis."""

_DIVISORS: Final = (8, 4, 2)
"""Divisors for which libjpeg-turbo has vector code; 3/8 and the like are slower than 1/2."""

_PILLOW_FAULTS: Final = (
    UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError,
    TypeError, LookupError, EOFError, ArithmeticError, MemoryError,
    AttributeError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's decoders raise on hostile bytes. All of them mean one thing: not readable."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    `raster` is uint8 RGB [H, W, 3], or a Pillow image of a mode that must be resized in its own
    colours. `size` is (width, height) of the full picture as stored. `extent` is the same in raster
    pixels, as floats: a scaled decode rounds its size up, and the true picture ends inside its
    last pixel. `orientation` is EXIF's, 1 to 8.
    """

    raster: "Pixels | Image.Image"
    size: tuple[int, int]
    extent: tuple[float, float]
    orientation: int


def decode(data: bytes, header: Header, least: tuple[int, int], max_pixels: int) -> Picture:
    """Decode one image.

    Args:
        data: the encoded image that `header` was read from.
        header: what `probe` said.
        least: (width, height) as stored that the result is made of; see OVERSIZE.
        max_pixels: as for `probe`; a decoder may find more pixels than the header promised.

    Raises:
        ImageRejected: not_an_image (damaged or cut short) or too_many_pixels.
    """
    divisor = _divisor(header, least)
    if header.format == "JPEG" and header.components in (1, 3):
        try:
            return _decode_jpeg(data, header, divisor)
        except ValueError:
            # It is strict: a stray byte is an error too. Pillow decides what is still a picture.
            return _decode_pillow(data, header, divisor, max_pixels)
    return _decode_pillow(data, header, divisor, max_pixels)


def _divisor(header: Header, least: tuple[int, int]) -> int:
    if header.format != "JPEG":
        return 1
    for divisor in _DIVISORS:
        if (
            header.width >= OVERSIZE * least[0] * divisor
            and header.height >= OVERSIZE * least[1] * divisor
        ):
            return divisor
    return 1


def _decode_jpeg(data: bytes, header: Header, divisor: int) -> Picture:
    pixels = simplejpeg.decode_jpeg(
        data,
        "RGB",
        min_height=-(-header.height // divisor),
        min_width=-(-header.width // divisor),
    )
    extent = header.width / divisor, header.height / divisor
    return Picture(pixels, (header.width, header.height), extent, header.orientation)


def _decode_pillow(data: bytes, header: Header, divisor: int, max_pixels: int) -> Picture:
    try:
        image = Image.open(io.BytesIO(data), formats=_formats(header))
        width, height = image.size
        check_pixels(width, height, max_pixels)
        if divisor > 1:
            image.draft(None, (width // divisor, height // divisor))
        image.load()
        orientation = _orientation(image)
        check_pixels(*image.size, max_pixels)
        raster = np.asarray(image) if image.mode == "RGB" else image
    except _PILLOW_FAULTS as error:
        raise ImageRejected(
            ImageErrorCode.NOT_AN_IMAGE,
            f"the {header.format} image is damaged or cut short and cannot be decoded",
        ) from error
    if divisor == 1 or image.size == (width, height):
        return Picture(raster, image.size, image.size, orientation)
    return Picture(raster, (width, height), (width / divisor, height / divisor), orientation)


def _formats(header: Header) -> tuple[str, ...]:
    # Cameras write several JPEGs into one file; Pillow calls that MPO. The first one counts.
    return ("JPEG", "MPO") if header.format == "JPEG" else (header.format,)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(274, 1)
    except _PILLOW_FAULTS:  # broken facts about a picture do not make it unreadable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
