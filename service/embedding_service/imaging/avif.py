"""The boxes of an AVIF file (ISO/IEC 14496-12 and 23008-12): its size, before any pixel exists.

What a file says about itself (`ispe`, a track's header) and what its AV1 streams say can differ,
and a decoder makes what the streams say. So both are read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from embedding_service.imaging.av1 import largest_frame
from embedding_service.imaging.damaged import MAX_PARTS, Damaged

BRANDS: Final = (b"avif", b"avis")
MAJOR_BRANDS: Final = (b"avif", b"avis", b"mif1", b"msf1")
"""First brands that a decoder of AVIF looks at; any of the others may then say AVIF."""

Size = tuple[int, int]
Span = tuple[int, int]
"""Where something lies: from here to before there, in bytes of the file."""


@dataclass(slots=True)
class _Items:
    """What the meta box says of each item: its kind and where its bytes lie."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[Span]] = field(default_factory=dict)
    idat: Span = (0, 0)


def is_avif(data: bytes) -> bool:
    """Say whether the file's brands promise AVIF."""
    if data[4:8] != b"ftyp" or data[8:12] not in MAJOR_BRANDS:
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 1024)]
    return any(brands[at : at + 4] in BRANDS for at in range(0, len(brands), 4))


def read_sizes(data: bytes) -> list[Size]:
    """Return (width, height) as stored, then the largest frame of each AV1 stream that is read.

    Raises:
        Damaged: boxes that contradict themselves, or too many of them.
        struct.error, IndexError: it ends too early.
    """
    found: list[Size] = []
    streams: list[bytes] = []
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            size, more = _of_meta(data, start + 4, end)
            found.append(size)
            streams += more
        elif kind == b"moov":
            for size, stream in _of_tracks(data, start, end):
                found.append(size)
                streams.append(stream)
    if not found:
        raise Damaged("the AVIF file has no image")
    return found + [largest_frame(stream) for stream in streams]


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Give (kind, start, end) of each box's content."""
    for _ in range(MAX_PARTS):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = start + size if size else end
        if (size and size < head) or stop > end:
            raise Damaged("a box of the AVIF file is longer than what it lies in")
        yield kind, start + head, stop
        start = stop
    raise Damaged(f"the AVIF file has more than {MAX_PARTS} boxes")


def _only(data: bytes, span: Span, *path: bytes) -> Span | None:
    """Return the first box of that path."""
    for wanted in path:
        inside = (box for box in _boxes(data, *span) if box[0] == wanted)
        box = next(inside, None)
        if box is None:
            return None
        span = box[1], box[2]
    return span


# Still images


def _of_meta(data: bytes, start: int, end: int) -> tuple[Size, list[bytes]]:
    boxes = {kind: (first, last) for kind, first, last in _boxes(data, start, end)}
    items = _Items(idat=boxes.get(b"idat", (0, 0)))
    if b"pitm" in boxes:
        items.primary = _number(data, boxes[b"pitm"][0] + 4, wide=_version(data, boxes[b"pitm"]))
    if b"iinf" in boxes:
        _read_kinds(data, boxes[b"iinf"], items)
    if b"iloc" in boxes:
        _read_places(data, boxes[b"iloc"], items)
    size = _size_of(data, boxes[b"iprp"], items.primary) if b"iprp" in boxes else (0, 0)
    coded = [number for number, kind in items.kinds.items() if kind == b"av01"]
    return size, [_joined(data, items.extents.get(number, [])) for number in coded]


def _version(data: bytes, span: Span) -> bool:
    """Say whether a box is of version 1 or later, which has item numbers of four bytes."""
    return data[span[0]] > 0


def _number(data: bytes, at: int, *, wide: bool) -> int:
    return int(struct.unpack_from(">I" if wide else ">H", data, at)[0])


def _read_kinds(data: bytes, span: Span, items: _Items) -> None:
    first = span[0] + (8 if _version(data, span) else 6)
    for kind, start, _ in _boxes(data, first, span[1]):
        if kind == b"infe" and data[start] in (2, 3):
            wide = data[start] == 3
            at = start + (10 if wide else 8)
            items.kinds[_number(data, start + 4, wide=wide)] = data[at : at + 4]


class _Cursor:
    """Reads numbers one after the other."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._data = data
        self._at, self._end = span

    def take(self, size: int) -> int:
        """Return the next number of `size` bytes; of none it is 0."""
        self._at += size
        if self._at > self._end:
            raise Damaged("a table of the AVIF file ends too early")
        return int.from_bytes(self._data[self._at - size : self._at], "big")


def _read_places(data: bytes, span: Span, items: _Items) -> None:
    table = _Cursor(data, span)
    version = table.take(4) >> 24
    sizes = table.take(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(_bounded(table.take(4 if version == 2 else 2))):
        number = table.take(4 if version == 2 else 2)
        method = table.take(2) & 15 if version else 0
        table.take(2)
        origin = table.take(base) + (items.idat[0] if method == 1 else 0)
        extents = items.extents.setdefault(number, [])
        for _ in range(_bounded(table.take(2))):
            table.take(index if version else 0)
            start = origin + table.take(offset)
            size = table.take(length)
            extents.append((start, start + size if size else len(data)))
        _bounded(sum(map(len, items.extents.values())))


def _bounded(count: int) -> int:
    if count > MAX_PARTS:
        raise Damaged(f"the AVIF file has more than {MAX_PARTS} parts")
    return count


def _joined(data: bytes, extents: list[Span]) -> bytes:
    """Return the bytes of one item; they may not be more than the file has."""
    if sum(end - start for start, end in extents) > len(data):
        raise Damaged("an item of the AVIF file is longer than the file")
    return b"".join(data[start:end] for start, end in extents)


def _size_of(data: bytes, span: Span, item: int) -> Size:
    """Return the `ispe` property of an item, (0, 0) where it has none."""
    inside = {kind: (start, end) for kind, start, end in _boxes(data, *span)}
    if b"ipco" not in inside or b"ipma" not in inside:
        return 0, 0
    properties = list(_boxes(data, *inside[b"ipco"]))
    for number in _properties_of(data, inside[b"ipma"], item):
        if 0 < number <= len(properties) and properties[number - 1][0] == b"ispe":
            width, height = struct.unpack_from(">II", data, properties[number - 1][1] + 4)
            return width, height
    return 0, 0


def _properties_of(data: bytes, span: Span, item: int) -> list[int]:
    table = _Cursor(data, span)
    head = table.take(4)
    wide_number, wide_property = head >> 24 > 0, head & 1
    for _ in range(_bounded(table.take(4))):
        number = table.take(4 if wide_number else 2)
        found = [
            table.take(2) & 0x7FFF if wide_property else table.take(1) & 0x7F
            for _ in range(table.take(1))
        ]
        if number == item:
            return found
    return []


# Sequences: of each track only the first picture is decoded


def _of_tracks(data: bytes, start: int, end: int) -> Iterator[tuple[Size, bytes]]:
    for kind, first, last in _boxes(data, start, end):
        if kind != b"trak":
            continue
        head = _only(data, (first, last), b"tkhd")
        table = _only(data, (first, last), b"mdia", b"minf", b"stbl")
        if head is None or table is None:
            raise Damaged("a track of the AVIF file has no header or no table")
        width, height = struct.unpack_from(">II", data, head[1] - 8)
        yield (width >> 16, height >> 16), _first_sample(data, table)


def _first_sample(data: bytes, table: Span) -> bytes:
    sizes, narrow, wide = (_only(data, table, kind) for kind in (b"stsz", b"stco", b"co64"))
    offsets = narrow or wide
    if sizes is None or offsets is None:
        raise Damaged("a track of the AVIF file does not say where its pictures are")
    same, count = struct.unpack_from(">II", data, sizes[0] + 4)
    size = same or (struct.unpack_from(">I", data, sizes[0] + 12)[0] if count else 0)
    (start,) = struct.unpack_from(">I" if narrow else ">Q", data, offsets[0] + 8)
    return data[start : start + size]
