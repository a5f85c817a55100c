"""The first directory of a TIFF file, which is the format of EXIF too (TIFF 6.0, BigTIFF)."""

import re
import struct
from dataclasses import dataclass
from typing import Final

from embedding_service.imaging.damaged import Damaged

WIDTH, HEIGHT, STRIPS, TILE_WIDTH, TILE_HEIGHT, TILES = 256, 257, 273, 322, 323, 324
ORIENTATION = 274

MAX_ENTRIES: Final = 512
"""Entries of a directory that are read; real ones have about twenty."""

MAX_PIECES: Final = 131_072
"""Strips or tiles of one picture: Pillow makes a Python object of each."""

FREE_TILE_PIXELS: Final = 2048 * 2048
"""A tile may have this many pixels however small the picture is. A decoder makes a whole tile."""

_WHOLE: Final = {3: "H", 4: "I", 16: "Q"}
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
"""As Pillow reads it, which is what open_clip's users see."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Whole numbers by tag (of several, the first that fits in place) and how many each has."""

    values: dict[int, int]
    counts: dict[int, int]


def read_directory(data: bytes) -> Directory:
    """Read the first directory.

    Raises:
        Damaged: it does not start like a TIFF file.
        struct.error: it ends too early.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise Damaged("the TIFF header is damaged")
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    if start > len(data):  # an offset may have 64 bits, more than Python counts bytes with
        raise Damaged("the TIFF directory lies behind the end")
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    first, step, place = (start + 8, 20, 12) if big else (start + 2, 12, 8)
    found = Directory({}, {})
    for entry in range(first, first + step * min(entries, MAX_ENTRIES), step):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), data, entry)
        form = _WHOLE.get(kind)
        if form is not None and tag not in found.counts:  # of two, Pillow takes the first
            (found.values[tag],) = struct.unpack_from(order + form, data, entry + place)
            found.counts[tag] = count
    return found


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) as stored of a TIFF file.

    Raises:
        Damaged: no TIFF, or cut into more pieces or larger tiles than its picture needs.
        struct.error: it ends too early.
    """
    directory = read_directory(data)
    width, height = directory.values.get(WIDTH, 0), directory.values.get(HEIGHT, 0)
    pieces = max(directory.counts.get(STRIPS, 0), directory.counts.get(TILES, 0))
    if pieces > MAX_PIECES:
        raise Damaged(f"the TIFF has {pieces} pieces, at most {MAX_PIECES} are taken")
    across, down = directory.values.get(TILE_WIDTH, 0), directory.values.get(TILE_HEIGHT, 0)
    if across * down > max(4 * width * height, FREE_TILE_PIXELS):
        raise Damaged(f"the TIFF has tiles of {across} x {down} pixels, larger than its picture")
    return width, height


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8: EXIF's, else XMP's, else 1. Never raises."""
    try:
        directory = read_directory(exif.removeprefix(b"Exif\0\0"))
        value = directory.values.get(ORIENTATION)
    except (struct.error, Damaged):
        value = None
    if value is None:
        found = _XMP_ORIENTATION.search(xmp)
        value = int(found.group(1)) if found else 1
    return value if 1 <= value <= 8 else 1
