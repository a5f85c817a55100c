"""Ways to damage a file, as a hypothesis strategy: flips, cuts, splices, wrong lengths, claims."""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

MOST_BYTES: Final = 1 << 20
_TELLING: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFF_FFFF,
                   0x8000_0000, 0xFFFF_FFFF)  # fmt: skip
"""Numbers at which arithmetic of lengths breaks."""
_MARKS: Final = (b'"', b"{", b"}", b"[", b"]", b",", b":", b";", b"=", b"/", b"\\", b"..", b"0",
                 b"-", b"%", b"\r\n", b"\0", b"\xc3\xbc", b"a", b" ")  # fmt: skip
_HEADER: Final = 600
"""Most of what a decoder believes stands in these first bytes."""


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Give one of the seeds after one to three changes; a PNG gets its checksums back."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, data, seeds)
        del data[MOST_BYTES:]
    damaged = bytes(data)
    return mended(damaged) if draw(st.booleans()) else damaged


def _place(draw: st.DrawFn, data: bytearray) -> int:
    end = max(len(data) - 1, 0)
    if draw(st.booleans()):
        end = min(end, _HEADER)
    return draw(st.integers(0, end))


def _change(draw: st.DrawFn, data: bytearray, seeds: Sequence[bytes]) -> None:
    place = _place(draw, data)
    match draw(st.integers(0, 9)):
        case 0 if data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        case 1 if data:
            data[place] = draw(st.integers(0, 255))
        case 2:
            del data[place:]
        case 3:
            del data[place : place + draw(st.integers(1, 64))]
        case 4:  # the same part once more
            data[place:place] = data[place : place + draw(st.integers(1, 400))]
        case 5:  # a part of another file
            other = draw(st.sampled_from(seeds))
            start = draw(st.integers(0, max(len(other) - 1, 0)))
            data[place:place] = other[start : start + draw(st.integers(1, 400))]
        case 6:
            data[place:place] = draw(st.binary(min_size=1, max_size=16))
        case 7 if data:  # what texts are made of
            data[place : place + 1] = draw(st.sampled_from(_MARKS))
        case _:  # a length or a claim
            form = draw(st.sampled_from((">I", "<I", ">H", "<H", ">Q", "<Q")))
            number = draw(st.sampled_from((*_TELLING, len(data))))
            wide = struct.calcsize(form)
            data[place : place + wide] = struct.pack(form, number & ((1 << 8 * wide) - 1))


def mended(data: bytes) -> bytes:
    """Return a PNG with right checksums, so that a decoder looks further; others as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    fixed, position = bytearray(data), 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[position + 4 : end]))
        position = end + 4
    return bytes(fixed)
