"""Small files that want much: claims, endless inflation, work without end. Bytes and the answer."""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from parity.pictures import chunk, encoded, tiled

PIXELS: Final = "pixels"
"""The outcome of a file that gives a picture after all: its first frame, without the rest."""
NOT_AN_IMAGE, TOO_MANY, UNSUPPORTED = "not_an_image", "too_many_pixels", "unsupported_format"

MAX_PIXELS: Final = 16_000_000
SIDE: Final = 4000
"""A picture of the limit's size is the yardstick for memory."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Bomb:
    """A hostile file and the outcomes that are right."""

    data: bytes
    right: tuple[str, ...]


def bombs() -> dict[str, Bomb]:
    """Return every bomb by name."""
    return _png() | _jpeg() | _gif() | _webp() | _tiff() | _bmp() | _avif()


def yardsticks() -> dict[str, bytes]:
    """Return legitimate pictures of the most pixels that are taken, the heaviest kinds."""
    grey = Image.linear_gradient("L").resize((SIDE, SIDE))
    colour = Image.merge("RGB", (grey, grey.transpose(Image.Transpose.ROTATE_90), grey))
    clear = colour.convert("RGBA")
    clear.putalpha(grey)
    return {
        "PNG, RGBA": encoded(clear, "PNG", compress_level=1),
        "JPEG, progressive 4:4:4": encoded(colour, "JPEG", progressive=True, subsampling="4:4:4"),
        "JPEG, CMYK": encoded(colour.convert("CMYK"), "JPEG"),
        "BMP": encoded(colour, "BMP"),
        "AVIF, RGBA": encoded(clear, "AVIF", speed=10, subsampling="4:4:4"),
    }


def claim(width: int, height: int, *, kind: int = 2, depth: int = 8) -> bytes:
    """Return the head of a PNG."""
    return _PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))


def zeros(gibibytes: int) -> bytes:
    """Return a zlib stream that inflates to so many GiB of zeros: 1 MiB each."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + more * (16 * gibibytes)


def _png() -> dict[str, Bomb]:
    end = chunk(b"IEND", b"")
    small = chunk(b"IDAT", zlib.compress(bytes(4 * 16 * 16)))
    whole, gigabytes = claim(16, 16), zeros(2)
    text = b"note\0\0" + gigabytes
    notes = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(1_000_000), 9)) * 200
    refused = (NOT_AN_IMAGE,)
    return {
        "png claims 100000 x 100000": Bomb(claim(100_000, 100_000) + small + end, (TOO_MANY,)),
        "png claims 2^31 x 2^31": Bomb(claim(1 << 31, 1 << 31) + small + end, (TOO_MANY,)),
        "png claims the limit, has nothing": Bomb(claim(SIDE, SIDE) + small + end, refused),
        "png of 2 GiB of zeros": Bomb(
            whole + chunk(b"IDAT", gigabytes) + end, (PIXELS, NOT_AN_IMAGE)
        ),
        "png with 2 GiB of text": Bomb(whole + chunk(b"zTXt", text) + small + end, refused),
        "png with 2 GiB of profile": Bomb(
            whole + chunk(b"iCCP", text) + small + end, (PIXELS, NOT_AN_IMAGE)
        ),
        "png with 200 notes of 1 MB": Bomb(whole + notes + small + end, refused),
        "png of a million chunks": Bomb(whole + chunk(b"teSt", b"") * 1_000_000 + small, refused),
        "png of a million empty IDAT": Bomb(whole + chunk(b"IDAT", b"") * 1_000_000, refused),
        "png of a million frames": Bomb(
            whole + chunk(b"acTL", struct.pack(">II", 1_000_000, 0)) + small + end, (PIXELS,)
        ),
    }


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(data) + 2) + data


def _exif_of(entries: int) -> bytes:
    """Return EXIF whose entries all want the same 60 000 bytes."""
    body = b"".join(struct.pack("<HHII", 1000 + tag, 7, 60_000, 8) for tag in range(entries))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, entries) + body.ljust(65_000, b"\0")


def _jpeg() -> dict[str, Bomb]:
    small = encoded(Image.new("RGB", (16, 16), "red"), "JPEG")
    inks = encoded(Image.new("CMYK", (16, 16)), "JPEG")
    frame = small.index(b"\xff\xc0") + 5
    large = struct.pack(">HH", 65_535, 65_535)
    limit = struct.pack(">HH", SIDE, SIDE)
    note, exif = _segment(0xFE, b""), _segment(0xE1, _exif_of(5000))
    passes = encoded(Image.new("L", (SIDE, SIDE)), "JPEG", progressive=True)
    scan = passes.rindex(b"\xff\xda")
    return {
        "jpeg claims 65535 x 65535": Bomb(small[:frame] + large + small[frame + 4 :], (TOO_MANY,)),
        "jpeg claims the limit, has nothing": Bomb(
            small[:frame] + limit + small[frame + 4 : -20], (NOT_AN_IMAGE,)
        ),
        "jpeg of 5000 passes": Bomb(
            passes[:scan] + passes[scan:-2] * 5000 + b"\xff\xd9", (NOT_AN_IMAGE,)
        ),
        "jpeg of a million segments": Bomb(
            inks[:2] + note * 1_000_000 + inks[2:], (NOT_AN_IMAGE,)
        ),
        "jpeg with EXIF of 300 MB": Bomb(inks[:2] + exif + inks[2:], (PIXELS, NOT_AN_IMAGE)),
        "jpeg with EXIF in 400 segments": Bomb(
            inks[:2] + exif * 400 + inks[2:], (PIXELS, NOT_AN_IMAGE)
        ),
    }  # fmt: skip


def _gif() -> dict[str, Bomb]:
    small = encoded(Image.new("P", (16, 16)), "GIF")
    picture = small.rindex(b",")
    large = struct.pack("<HH", 65_535, 65_535)
    notes = b"!\xfe" + b"\x01x" * 1_000_000 + b"\0"
    return {
        "gif claims 65535 x 65535": Bomb(small[:6] + large + small[10:], (TOO_MANY,)),
        "gif with a frame larger than its screen": Bomb(
            small[: picture + 5] + large + small[picture + 9 :], (TOO_MANY,)
        ),
        "gif of a million frames": Bomb(small[:-1] + small[picture:-1] * 1_000_000, (PIXELS,)),
        "gif of a million notes": Bomb(small[:picture] + notes + small[picture:], (NOT_AN_IMAGE,)),
    }


def _webp() -> dict[str, Bomb]:
    def file(*chunks: bytes) -> bytes:
        body = b"WEBP" + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(body)) + body

    def part(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    frame = encoded(Image.new("RGB", (16, 16)), "WEBP", quality=1)[12:]
    sides = struct.pack("<HH", 16_383, 16_383)
    canvas = b"\x02\0\0\0" + b"\x0f\0\0" * 2
    still = b"\0" * 6 + b"\x0f\0\0" * 2 + b"\x01\0\0\0"
    frames = part(b"ANMF", still + frame) * 100_000
    at = frame.index(b"\x9d\x01\x2a") + 3
    large = frame[:at] + sides + frame[at + 4 :]
    return {
        "webp claims 16 million x 16 million": Bomb(
            file(part(b"VP8X", b"\0\0\0\0" + b"\xff" * 6), frame), (TOO_MANY,)
        ),
        "webp claims 16383 x 16383": Bomb(
            file(large), (TOO_MANY,)
        ),
        "webp with a picture larger than its canvas": Bomb(
            file(part(b"VP8X", b"\0\0\0\0" + b"\x0f\0\0" * 2), large),
            (NOT_AN_IMAGE,),
        ),
        "webp of 100000 frames": Bomb(
            file(part(b"VP8X", canvas), part(b"ANIM", b"\0" * 6), frames), (PIXELS, NOT_AN_IMAGE)
        ),
    }  # fmt: skip


def _tiff() -> dict[str, Bomb]:
    image = Image.new("RGB", (128, 128))
    plain = tiled(image)
    after = 8 + 2 + 12 * 10
    cyclic = plain[:after] + struct.pack("<I", 8) + plain[after + 4 :]
    entries = b"".join(struct.pack("<HHII", 300 + tag, 1, 8_000_000, 8) for tag in range(60_000))
    directory = struct.pack("<H", 60_000) + entries + bytes(4)
    refused = (NOT_AN_IMAGE,)
    return {
        "tiff claims 100000 x 100000": Bomb(tiled(image, t256=100_000, t257=100_000), (TOO_MANY,)),
        "tiff with tiles of 30000 x 30000": Bomb(tiled(image, t322=30_000, t323=30_000), refused),
        "tiff with packed tiles of 16000 x 16000": Bomb(
            tiled(image, t259=8, t322=16_000, t323=16_000), refused
        ),
        "tiff whose directory follows itself": Bomb(cyclic, (PIXELS,)),
        "tiff of 60000 entries of 8 MB": Bomb(
            b"II*\0" + struct.pack("<I", 8_000_008) + bytes(8_000_000) + directory, refused
        ),
        "tiff of 8 million strips": Bomb(_strips(8_000_000), refused),
        "tiff directory behind 2^63": Bomb(b"MM\0+\0\x08\0\0\xff" + bytes(60), refused),
    }


def _strips(count: int) -> bytes:
    values = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    tables = struct.pack("<HHII", 273, 4, count, 126) + struct.pack("<HHII", 279, 4, count, 126)
    head = b"II*\0" + struct.pack("<IH", 8, 9)
    return head + entries + tables + bytes(4) + bytes(4 * count)


def _bmp() -> dict[str, Bomb]:
    def file(width: int, height: int, data: bytes, *, bits: int = 24, packing: int = 0) -> bytes:
        facts = (40, width, height, 1, bits, packing, len(data), 0, 0, 0, 0)
        start = 54 + (1024 if bits == 8 else 0)
        head = struct.pack("<IHHI", start + len(data), 0, 0, start)
        table = bytes(start - 54)
        return b"BM" + head + struct.pack("<IiiHHIIiiII", *facts) + table + data

    deltas = b"\0\x02\xff\xff" * 200
    return {
        "bmp claims 2^31 x 2^31": Bomb(file((1 << 31) - 1, (1 << 31) - 1, b""), (TOO_MANY,)),
        "bmp claims a negative width": Bomb(file(-16, 16, b""), (NOT_AN_IMAGE,)),
        "bmp claims the limit, has nothing": Bomb(file(SIDE, -SIDE, b""), (NOT_AN_IMAGE,)),
        "bmp that leaps": Bomb(file(SIDE, SIDE, deltas, bits=8, packing=1), (UNSUPPORTED,)),
        "bmp that leaps, small": Bomb(
            file(2000, 1999, deltas, bits=8, packing=1), (PIXELS, NOT_AN_IMAGE)
        ),
        "bmp of millions of runs": Bomb(
            file(1000, 1000, b"\x01\x01" * 4_000_000, bits=8, packing=1), (UNSUPPORTED,)
        ),
    }


def _avif() -> dict[str, Bomb]:
    def claiming(data: bytes, width: int, height: int) -> bytes:
        at = data.index(b"ispe") + 8
        return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]

    small = encoded(Image.new("RGB", (16, 16)), "AVIF", speed=10)
    large = encoded(Image.fromarray(np.zeros((4100, 4000, 3), np.uint8)), "AVIF", speed=10)
    boxes = struct.pack(">I4s", 8, b"free") * 1_000_000
    return {
        "avif claims 100000 x 100000": Bomb(claiming(small, 100_000, 100_000), (TOO_MANY,)),
        "avif claims the limit, is small": Bomb(
            claiming(small, SIDE, SIDE), (PIXELS, NOT_AN_IMAGE)
        ),
        "avif claims 16 x 16, is large": Bomb(claiming(large, 16, 16), (TOO_MANY,)),
        "avif of a million boxes": Bomb(small[:32] + boxes + small[32:], (NOT_AN_IMAGE,)),
    }
