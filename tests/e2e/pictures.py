"""Files that are no photographs, or not what they say: what users really upload."""

import struct
import zlib

EMPTY = b""
TEXT = b"Dear sir or madam,\nthis is not a photograph.\n"


def huge_png(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG whose header promises `width` x `height` pixels; the file itself has 100 bytes.

    Decoding it would take gigabytes. Only its header may ever be read.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 64)
    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
