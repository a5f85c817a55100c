"""The segments of a JPEG up to its first scan (ITU T.81, annex B). Decodes nothing."""

import struct
from dataclasses import dataclass
from typing import Final

from embedding_service.imaging.damaged import Damaged, parts
from embedding_service.imaging.tiff import read_orientation

MAX_SCANS: Final = 100
"""Passes over the whole picture. Encoders write about ten; a file of empty scans, a few bytes
each, would keep a decoder busy for hours."""

_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_SCAN: Final = b"\xff\xda"
_MAX_JUNK: Final = 4096
"""Bytes between two segments that are skipped: some cameras pad."""
_NO_FRAMES: Final = (0xC4, 0xC8, 0xCC)
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
    for _ in parts():
        position, marker = _marker(data, position)
        if marker in (0xD9, 0xDA):
            break
        if marker == 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = position + 4
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            frame = frame or (marker, *struct.unpack_from(">HHB", data, body + 1))
        elif marker == 0xE1 and data.startswith(_EXIF, body):
            exif = exif or data[body : body + length - 2]
        elif marker == 0xE1 and data.startswith(_XMP, body):
            xmp = data[body : body + length - 2]
        position += 2 + length
    if frame is None:
        raise Damaged("the JPEG has no frame header")
    kind, height, width, components = frame
    _check_scans(data, position, several=kind in _PROGRESSIVE, components=components)
    return Frame(width, height, components, read_orientation(exif, xmp))


def _check_scans(data: bytes, position: int, *, several: bool, components: int) -> None:
    """Count scans from the first one on; most files have one, by which all colours come at once."""
    several = several or data[position + 4] < components
    # Inside a scan 0xFF is always followed by a zero or a restart marker.
    if several and data.count(_SCAN, position) > MAX_SCANS:
        raise Damaged(f"the JPEG has more than {MAX_SCANS} scans")


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """Return where the next marker is, and the marker. Decoders skip what is between segments."""
    found = data.find(b"\xff", position)
    if found < 0:
        raise Damaged("the JPEG header ends too early")
    if found - position > _MAX_JUNK:
        raise Damaged("the JPEG header is damaged")
    return found, data[found + 1]
