"""Look at the first bytes of an image: its format and size, before any pixel is decoded.

The list of formats is closed. Nothing here allocates in proportion to what a header claims.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
"""The names are Pillow's, so that a decoder can be limited to the one that was probed."""

_TAKEN: Final = "JPEG, PNG, WebP, GIF, BMP and TIFF are taken"

_FOREIGN: Final = (
    (4, b"ftypavif", "AVIF"), (4, b"ftypheic", "HEIC"), (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"), (4, b"ftypcrx ", "CR3"), (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"), (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"), (0, b"8BPS", "PSD"), (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"%PDF", "PDF"), (0, b"<svg", "SVG"), (0, b"v/1\x01", "OpenEXR"), (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"), (0, b"P4\n", "PBM"), (0, b"P5\n", "PGM"), (0, b"P6\n", "PPM"),
)  # fmt: skip
"""(offset, magic bytes, name) of images that we know by sight and do not take."""


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
        header = _read(data)
    except (struct.error, IndexError) as error:
        raise _broken("the header ends too early") from error
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


def _read(data: bytes) -> Header:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Header("PNG", *struct.unpack_from(">II", data, 16))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Header("GIF", *struct.unpack_from("<HH", data, 6))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _tiff(data)
    if data.startswith(b"BM") and len(data) >= 26:
        return _bmp(data)
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
    """Walk the markers up to the frame header (ITU T.81, annex B)."""
    position, orientation = 2, 1
    while True:
        if data[position] != 0xFF:
            raise _broken("the JPEG header is damaged")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in (0xD9, 0xDA):
            raise _broken("the JPEG has no frame header")
        (length,) = struct.unpack_from(">H", data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = struct.unpack_from(">HHB", data, position + 5)
            return Header("JPEG", width, height, orientation, components)
        if marker == 0xE1 and data.startswith(b"Exif\0\0", position + 4):
            orientation = _orientation(data[position + 10 : position + 2 + length])
        position += 2 + length


def _orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 where it is absent or senseless."""
    try:
        value = _first_directory(exif).get(274, 1)
    except (struct.error, ImageRejected):
        return 1
    return value if 1 <= value <= 8 else 1


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
    width, height = struct.unpack_from("<ii", data, 18)
    return Header("BMP", width, abs(height))


def _tiff(data: bytes) -> Header:
    tags = _first_directory(data)
    return Header("TIFF", tags.get(256, 0), tags.get(257, 0))


def _first_directory(data: bytes) -> dict[int, int]:
    """Return the whole-number tags of the first directory of a TIFF or BigTIFF file."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise _broken("the TIFF header is damaged")
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    first, step = (start + 8, 20) if big else (start + 2, 12)
    tags: dict[int, int] = {}
    for entry in range(first, first + step * min(count, 512), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        form = {3: "H", 4: "I", 16: "Q"}.get(kind)
        if form is not None:
            (tags[tag],) = struct.unpack_from(order + form, data, entry + (12 if big else 8))
    return tags
