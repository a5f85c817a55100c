"""The segments of a JPEG up to its first scan (ITU T.81, annex B). Decodes nothing."""

import struct
from dataclasses import dataclass
from typing import Final

from embedding_service.imaging.damaged import MAX_PARTS, Damaged, too_many
from embedding_service.imaging.tiff import read_orientation

MAX_SCANS: Final = 100
"""Passes over the whole picture. Encoders write about ten; thousands of empty scans, a few bytes
each, would keep a decoder busy for minutes."""

_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_SCAN: Final = b"\xff\xda"
_MAX_JUNK: Final = 4096
"""Bytes between two segments that are skipped: some cameras pad."""
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FACTS: Final = struct.Struct(">HHB")
_NO_LENGTH: Final = frozenset((0x00, 0x01, *range(0xD0, 0xD9), 0xFF))
_PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a JPEG says before its pixels: pixels as stored, colour channels, EXIF orientation."""

    width: int
    height: int
    components: int
    orientation: int


def read_frame(data: bytes) -> Frame:
    """Walk the segments up to the first scan.

    Raises:
        Damaged: no frame header, too many segments or too many scans.
        struct.error, IndexError: it ends too early.
    """
    position, exif, xmp = 2, b"", b""
    frame: tuple[int, int, int, int] | None = None
    # One step for each segment, on each image, with the interpreter lock: it is kept short.
    for _ in range(MAX_PARTS):
        if data[position] != 0xFF:
            position = _behind_junk(data, position)
        marker = data[position + 1]
        if marker in _NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (0xDA, 0xD9):
            break
        body = position + 4
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _FRAMES:
            frame = frame or (marker, *_FACTS.unpack_from(data, body + 1))
        elif marker == 0xE1:
            if data.startswith(_EXIF, body):
                exif = exif or data[body : body + length - 2]
            elif data.startswith(_XMP, body):
                xmp = data[body : body + length - 2]
        position += 2 + length
    else:
        raise too_many()
    if frame is None:
        raise Damaged("the JPEG has no frame header")
    kind, height, width, components = frame
    _check_scans(data, position, several=kind in _PROGRESSIVE, components=components)
    return Frame(width, height, components, read_orientation(exif, xmp) if exif or xmp else 1)


def _check_scans(data: bytes, position: int, *, several: bool, components: int) -> None:
    """Count scans from the first one on; most files have one, by which all colours come at once."""
    several = several or data[position + 4] < components
    # Inside a scan 0xFF is always followed by a zero or a restart marker.
    if several and data.count(_SCAN, position) > MAX_SCANS:
        raise Damaged(f"the JPEG has more than {MAX_SCANS} scans")


def _behind_junk(data: bytes, position: int) -> int:
    """Return where the next marker is. Decoders skip what is between segments."""
    found = data.find(b"\xff", position, position + _MAX_JUNK)
    if found < 0:
        raise Damaged("the JPEG header is damaged")
    return found
