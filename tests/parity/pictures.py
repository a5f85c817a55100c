"""Pictures of every kind that a user may send: real photographs, and one of them in every form."""

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from load.photographs import photographs

Kinds = dict[str, dict[str, bytes]]
"""Kind -> name -> encoded picture."""


def pictures() -> Kinds:
    """Return all of them; the same bytes on every call with the same libraries."""
    shipped = {photograph.name: photograph.data for photograph in photographs()}
    photograph = Image.open(io.BytesIO(shipped["china.jpg"])).convert("RGB")
    photograph.load()
    shapes = {"shapes": dict(_shapes(photograph))}
    return {"photographs": shipped} | forms(photograph) | shapes


def forms(photograph: Image.Image) -> Kinds:
    """Return one RGB picture in every form that this project reads."""
    return {
        "JPEG": dict(_jpeg(photograph)),
        "JPEG, turned": dict(_turned(photograph)),
        "PNG": dict(_png(photograph)),
        "WebP": dict(_webp(photograph)),
        "GIF": dict(_gif(photograph)),
        "TIFF": dict(_tiff(photograph)),
        "BMP": dict(_bmp(photograph)),
        "AVIF": dict(_avif(photograph)),
    }


Forms = Iterator[tuple[str, bytes]]


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """Return the file that Pillow writes."""
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def _jpeg(photograph: Image.Image) -> Forms:
    large = _scaled(photograph, 2.345)
    yield "baseline 4:4:4", encoded(large, "JPEG", quality=92, subsampling="4:4:4")
    yield "baseline 4:2:2", encoded(large, "JPEG", quality=92, subsampling="4:2:2")
    yield "baseline 4:2:0", encoded(large, "JPEG", quality=85, subsampling="4:2:0")
    yield "progressive", encoded(large, "JPEG", quality=85, progressive=True)
    yield "restarts", encoded(photograph, "JPEG", restart_marker_rows=1)
    yield "coarse", encoded(large, "JPEG", quality=10)
    yield "stored as RGB", encoded(large, "JPEG", quality=92, keep_rgb=True)
    yield "grey", encoded(large.convert("L"), "JPEG", quality=90)
    yield "CMYK", encoded(large.convert("CMYK"), "JPEG", quality=90)
    yield "YCCK", _ycck(large)
    yield "bytes before a marker", encoded(photograph, "JPEG")[:-2] + b"\0\0\xff\xd9"


def _ycck(image: Image.Image) -> bytes:
    """Adobe's YCCK: four planes of which the first three are luma and chroma."""
    luma = image.convert("YCbCr")
    black = (
        Image.linear_gradient("L").resize(image.size).point([value // 4 for value in range(256)])
    )
    data = encoded(Image.merge("CMYK", (*luma.split(), black)), "JPEG", quality=92)
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    return data[:transform] + b"\x02" + data[transform + 1 :]


def _turned(photograph: Image.Image) -> Forms:
    image = _scaled(photograph, 1.877)
    for orientation in range(1, 9):
        yield f"EXIF {orientation}", encoded(image, "JPEG", quality=90, exif=exif(orientation))
    grey = photograph.convert("L")
    yield "EXIF 6, grey", encoded(grey, "JPEG", quality=90, exif=exif(6))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="8"/></x:xmpmeta>'
    yield "XMP 8, no EXIF", encoded(photograph, "JPEG", quality=90, xmp=xmp)


def exif(orientation: int) -> Image.Exif:
    """Return EXIF facts with one orientation."""
    facts = Image.Exif()
    facts[274] = orientation
    return facts


def clear(photograph: Image.Image) -> Image.Image:
    """Return the photograph with an alpha that runs from nothing to full."""
    image = photograph.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def deep(image: Image.Image) -> npt.NDArray[np.uint16]:
    """Return 16-bit pixels whose low bytes matter."""
    pixels = np.asarray(image).astype(np.uint16)
    return pixels * 256 + (pixels * 7 + 13) % 256


def _png(photograph: Image.Image) -> Forms:
    grey, alpha = photograph.convert("L"), clear(photograph)
    yield "RGB", encoded(photograph, "PNG")
    yield "RGBA", encoded(alpha, "PNG")
    yield "grey", encoded(grey, "PNG")
    yield "grey and alpha", encoded(alpha.convert("LA"), "PNG")
    yield "palette", encoded(photograph.quantize(64), "PNG")
    yield "palette of 4 bits", encoded(photograph.quantize(13), "PNG", bits=4)
    yield "palette, one colour clear", encoded(photograph.quantize(64), "PNG", transparency=3)
    yield "palette, alpha for each", encoded(alpha.quantize(64), "PNG")
    yield "one bit", encoded(photograph.convert("1"), "PNG")
    yield "16-bit grey", encoded(Image.fromarray(deep(grey)), "PNG")
    yield "16-bit RGB", _by_opencv(deep(photograph)[:, :, ::-1])
    yield "16-bit RGBA", _by_opencv(deep(alpha)[:, :, [2, 1, 0, 3]])
    yield "RGB, one colour clear", encoded(photograph, "PNG", transparency=(255, 255, 255))
    yield "interlaced", interlaced(photograph)
    yield "EXIF 6", encoded(photograph, "PNG", exif=exif(6))


def _by_opencv(pixels: npt.NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()


_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
"""Of each pass: first column, first row, step across, step down."""


def interlaced(image: Image.Image) -> bytes:
    """Return an RGB PNG in seven passes; no library here writes one."""
    pixels = np.asarray(image)
    rows: list[bytes] = []
    for left, top, across, down in _ADAM7:
        rows += [b"\0" + row.tobytes() for row in pixels[top::down, left::across]]
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    body = zlib.compress(b"".join(rows), 1)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _webp(photograph: Image.Image) -> Forms:
    frames = [photograph, photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    yield "lossy", encoded(photograph, "WEBP", quality=80)
    yield "lossless", encoded(photograph, "WEBP", lossless=True, method=0)
    yield "alpha", encoded(clear(photograph), "WEBP", quality=80)
    yield "alpha, lossless", encoded(clear(photograph), "WEBP", lossless=True, method=0)
    yield "animated", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    yield "EXIF 8", encoded(photograph, "WEBP", exif=exif(8).tobytes())


def _gif(photograph: Image.Image) -> Forms:
    small = _scaled(photograph, 0.625)
    frames = [small.quantize(64), small.rotate(180).quantize(64)]
    yield "static", encoded(photograph.quantize(128), "GIF")
    yield "grey", encoded(photograph.convert("L"), "GIF")
    yield "interlaced", encoded(photograph.quantize(128), "GIF", interlace=1)
    yield "animated", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "one colour clear", encoded(frames[0], "GIF", transparency=5)


def _tiff(photograph: Image.Image) -> Forms:
    grey = photograph.convert("L")
    yield "RGB", encoded(photograph, "TIFF")
    yield "LZW", encoded(photograph, "TIFF", compression="tiff_lzw")
    yield "deflate", encoded(photograph, "TIFF", compression="tiff_deflate")
    yield "JPEG inside", encoded(photograph, "TIFF", compression="jpeg", quality=90)
    yield "packbits, grey", encoded(grey, "TIFF", compression="packbits")
    yield "fax, one bit", encoded(photograph.convert("1"), "TIFF", compression="group4")
    yield "16-bit grey", encoded(Image.fromarray(deep(grey)), "TIFF")
    yield "CMYK", encoded(photograph.convert("CMYK"), "TIFF")
    yield "RGBA", encoded(clear(photograph), "TIFF", compression="tiff_lzw")
    yield "palette", encoded(photograph.quantize(64), "TIFF")
    yield "LAB", encoded(_lab(photograph), "TIFF")
    yield "float", encoded(grey.convert("F"), "TIFF")
    yield "tiles", tiled(photograph)
    yield "two pages", encoded(photograph, "TIFF", save_all=True, append_images=[grey])
    yield "EXIF 5", encoded(photograph, "TIFF", exif=exif(5))


def _lab(photograph: Image.Image) -> Image.Image:
    return Image.merge("LAB", photograph.convert("YCbCr").split())


def tiled(image: Image.Image, side: int = 128, **claims: int) -> bytes:
    """Return an RGB TIFF of square tiles; `claims` replaces what a tag says, as `t322=99`."""
    columns, rows = -(-image.width // side), -(-image.height // side)
    whole = Image.new("RGB", (columns * side, rows * side))
    whole.paste(image)
    tiles = [
        whole.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)).tobytes()
        for y in range(rows)
        for x in range(columns)
    ]
    count, start = len(tiles), 8 + 2 + 12 * 10 + 4
    sizes, offsets, bits = start, start + 4 * len(tiles), start + 8 * len(tiles)
    data = bits + 6
    values = {
        256: (4, 1, image.width), 257: (4, 1, image.height), 258: (3, 3, bits), 259: (3, 1, 1),
        262: (3, 1, 2), 277: (3, 1, 3), 322: (4, 1, side), 323: (4, 1, side),
        324: (4, count, offsets), 325: (4, count, sizes),
    }  # fmt: skip
    for tag, value in claims.items():
        number = int(tag[1:])
        values[number] = (*values[number][:2], value)
    entries = b"".join(struct.pack("<HHII", tag, *value) for tag, value in values.items())
    tables = struct.pack(f"<{count}I", *map(len, tiles))
    tables += struct.pack(f"<{count}I", *(data + index * side * side * 3 for index in range(count)))
    head = b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)
    return head + tables + struct.pack("<3H", 8, 8, 8) + b"".join(tiles)


def _bmp(photograph: Image.Image) -> Forms:
    yield "24 bits", encoded(photograph, "BMP")
    yield "32 bits", encoded(clear(photograph), "BMP")
    yield "palette", encoded(photograph.quantize(64), "BMP")
    yield "grey", encoded(photograph.convert("L"), "BMP")
    yield "one bit", encoded(photograph.convert("1"), "BMP")
    yield "run lengths", run_lengths(photograph.quantize(32))
    yield "top down", _top_down(photograph)


def run_lengths(image: Image.Image) -> bytes:
    """Return an RLE8 bitmap of a palette image; no library here writes one."""
    body = bytearray()
    for row in np.asarray(image)[::-1]:
        for index in np.split(row, np.flatnonzero(np.diff(row)) + 1):
            for start in range(0, len(index), 255):
                body += bytes((len(index[start : start + 255]), index[0]))
        body += b"\0\0"
    body += b"\0\1"
    palette = (image.getpalette() or [])[: 256 * 3]
    colours = [bytes((blue, green, red, 0)) for red, green, blue in
               zip(palette[::3], palette[1::3], palette[2::3], strict=True)]  # fmt: skip
    table = b"".join(colours).ljust(1024, b"\0")
    head = struct.pack(
        "<IiiHHIIiiII", 40, image.width, image.height, 1, 8, 1, len(body), 0, 0, 0, 0
    )
    start = 14 + len(head) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + table + bytes(body)


def _top_down(photograph: Image.Image) -> bytes:
    flipped = encoded(photograph.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "BMP")
    return flipped[:22] + struct.pack("<i", -photograph.height) + flipped[26:]


def _avif(photograph: Image.Image) -> Forms:
    small = _scaled(photograph, 0.625)
    fast: dict[str, object] = {"speed": 10, "quality": 80}
    yield "4:2:0", encoded(photograph, "AVIF", **fast)
    yield "4:4:4", encoded(photograph, "AVIF", subsampling="4:4:4", **fast)
    yield "grey", encoded(photograph.convert("L"), "AVIF", **fast)
    yield "alpha", encoded(clear(small), "AVIF", **fast)
    yield "EXIF 6", encoded(small, "AVIF", exif=exif(6), **fast)
    yield "EXIF 7", encoded(small, "AVIF", exif=exif(7), **fast)
    frames = [small.rotate(180)]
    yield "animated", encoded(small, "AVIF", save_all=True, append_images=frames, **fast)


def _shapes(photograph: Image.Image) -> Forms:
    def resized(width: int, height: int) -> Image.Image:
        return photograph.resize((width, height), Image.Resampling.BICUBIC)

    yield "tall 300 x 2400", encoded(resized(300, 2400), "JPEG", quality=90)
    yield "wide 2400 x 300", encoded(resized(2400, 300), "JPEG", quality=90)
    yield "1920 x 1080", encoded(resized(1920, 1080), "JPEG", quality=88)
    yield "odd 1919 x 1077", encoded(resized(1919, 1077), "JPEG", quality=90)
    yield "20 x 13", encoded(resized(20, 13), "JPEG", quality=95)
    yield "1 x 1, JPEG", encoded(resized(1, 1), "JPEG")
    yield "1 x 1, PNG", encoded(resized(1, 1), "PNG")
    yield "2 x 3, PNG", encoded(resized(2, 3), "PNG")
    yield "2 x 3, GIF", encoded(resized(2, 3).quantize(4), "GIF")
    yield "16000 x 10", encoded(resized(16_000, 10), "PNG", compress_level=1)
    yield "10 x 16000", encoded(resized(10, 16_000), "PNG", compress_level=1)
    yield "6000 x 4000", encoded(resized(6000, 4000), "JPEG", quality=85)
