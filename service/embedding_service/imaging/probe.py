"""Look at the first bytes of an image: its format and size, before any pixel is decoded.

The list of formats is closed. Nothing here allocates in proportion to what a header claims.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal

from PIL import features

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.imaging import avif, tiff
from embedding_service.imaging.damaged import MAX_PARTS, Damaged, too_many
from embedding_service.imaging.jpeg import read_frame

Format = Literal["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"]
"""The names are Pillow's, so that a decoder can be limited to the one that was probed."""

DECODES_AVIF: Final = bool(features.check("avif"))
"""Pillow can be built without it."""

_TAKEN: Final = f"JPEG, PNG, WebP, {'AVIF, ' if DECODES_AVIF else ''}GIF, BMP and TIFF are taken"

_FOREIGN: Final = (
    (4, b"ftypavi", "AVIF"), (4, b"ftypheic", "HEIC"), (4, b"ftypheix", "HEIC"),
    (4, b"ftyphev", "HEIC"), (4, b"ftypmif1", "HEIF"), (4, b"ftypmsf1", "HEIF"),
    (4, b"ftypcrx ", "CR3"), (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"), (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"), (0, b"8BPS", "PSD"), (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"%PDF", "PDF"), (0, b"<svg", "SVG"), (0, b"v/1\x01", "OpenEXR"), (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"), (0, b"P4\n", "PBM"), (0, b"P5\n", "PGM"), (0, b"P6\n", "PPM"),
)  # fmt: skip
"""(offset, magic bytes, name) of images that we know by sight and do not take."""

MAX_RUN_LENGTH_PIXELS: Final = 4_000_000
MAX_RUN_LENGTH_BYTES: Final = 2_000_000
"""A run-length bitmap is unpacked by Python code that holds the interpreter lock: about half a
second for these."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says. `width` and `height` are pixels as stored.

    `orientation` (EXIF, 1 to 8) and `components` (colour channels, 0 = not known) are read for
    JPEG only; other formats tell when they are decoded.
    """

    format: Format
    width: int
    height: int
    orientation: int = 1
    components: int = 0


def probe(data: bytes, max_pixels: int) -> Header:
    """Read format and size from the header.

    Args:
        data: the encoded image.
        max_pixels: most pixels (width x height) that may be decoded.

    Raises:
        ImageRejected: not_an_image, unsupported_format or too_many_pixels.
    """
    if not data:
        raise ImageRejected(ImageErrorCode.NOT_AN_IMAGE, "the image is empty (0 bytes)")
    try:
        header = _read(data, max_pixels)
    except (struct.error, IndexError) as error:
        raise _broken("the header ends too early") from error
    except Damaged as error:
        raise _broken(str(error)) from error
    if header.width < 1 or header.height < 1:
        raise _broken(f"the header says {header.width} x {header.height} pixels")
    check_pixels(header.width, header.height, max_pixels)
    return header


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image of more than `max_pixels`.

    Raises:
        ImageRejected: too_many_pixels.
    """
    if width * height > max_pixels:
        raise ImageRejected(
            ImageErrorCode.TOO_MANY_PIXELS,
            f"the image has {width} x {height} = {width * height} pixels, at most {max_pixels} "
            "are taken; scale it down, or raise the limit of pixels per image",
        )


def _read(data: bytes, max_pixels: int) -> Header:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return Header("TIFF", *tiff.read_size(data))
    if data.startswith(b"BM") and len(data) >= 26:
        return _bmp(data)
    if DECODES_AVIF and avif.is_avif(data):
        return _avif(data, max_pixels)
    raise _unknown(data)


def _unknown(data: bytes) -> ImageRejected:
    for offset, magic, name in _FOREIGN:
        if data.startswith(magic, offset):
            return ImageRejected(
                ImageErrorCode.UNSUPPORTED_FORMAT, f"{name} is not supported; {_TAKEN}"
            )
    return _broken("the bytes are of no known image format")


def _broken(why: str) -> ImageRejected:
    return ImageRejected(ImageErrorCode.NOT_AN_IMAGE, f"not a readable image: {why}; {_TAKEN}")


def _jpeg(data: bytes) -> Header:
    frame = read_frame(data)
    return Header("JPEG", frame.width, frame.height, frame.orientation, frame.components)


def _png(data: bytes) -> Header:
    size = struct.unpack_from(">II", data, 16)
    position = 8
    for _ in range(MAX_PARTS):
        if position + 8 > len(data):
            return Header("PNG", *size)
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise too_many()


def _gif(data: bytes) -> Header:
    """Walk up to the first picture: what comes before it is read by Python code of Pillow."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
    inside = False  # an extension
    for _ in range(MAX_PARTS):
        if inside:
            inside, position = data[position] > 0, position + data[position] + 1
            continue
        if data[position] in b",;":
            return Header("GIF", width, height)
        inside = data[position] == 0x21
        position += 2 if inside else 1
    raise too_many()


def _avif(data: bytes, max_pixels: int) -> Header:
    size, *others = avif.read_sizes(data)
    for other in others:
        check_pixels(*other, max_pixels)
    return Header("AVIF", *size)


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WEBP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X" and len(data) >= 30:
        size = int.from_bytes(data[24:30], "little")
        return Header("WEBP", (size & 0xFFFFFF) + 1, (size >> 24) + 1)
    raise _broken("the WebP header is damaged")


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        return Header("BMP", *struct.unpack_from("<HH", data, 18))
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression in (1, 2) and (
        width * abs(height) > MAX_RUN_LENGTH_PIXELS or len(data) > MAX_RUN_LENGTH_BYTES
    ):
        raise ImageRejected(
            ImageErrorCode.UNSUPPORTED_FORMAT,
            f"run-length BMP of more than {MAX_RUN_LENGTH_PIXELS} pixels or "
            f"{MAX_RUN_LENGTH_BYTES} bytes is not supported; save it as PNG",
        )
    return Header("BMP", width, abs(height))
