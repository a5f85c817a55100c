"""What the header says is what a decoder would find; whatever is no image says so."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.imaging.probe import Header, probe

LIMIT = 100_000_000
ENOUGH = 10**12


def refusal(data: bytes, limit: int = LIMIT) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        probe(data, limit)
    return caught.value


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5x", 13, b"IHDR", width, height)


def test_size_and_format_agree_with_pillow(samples: dict[str, bytes]) -> None:
    for name, data in samples.items():
        header = probe(data, LIMIT)
        image = Image.open(io.BytesIO(data))
        size = (header.width, header.height)
        if name == "exif 5 tiff":  # Pillow turns a TIFF by itself and shows the size as seen
            size = size[::-1]
        assert (header.format, *size) == (image.format, *image.size), name


def test_a_jpeg_tells_its_orientation_and_components(samples: dict[str, bytes]) -> None:
    for orientation in range(1, 9):
        assert probe(samples[f"exif {orientation}"], LIMIT).orientation == orientation
    components = [probe(samples[f"{kind} jpeg"], LIMIT).components for kind in ("cmyk", "grey")]
    assert components == [4, 1]


def test_an_empty_file_is_no_image() -> None:
    error = refusal(b"")
    assert error.failure.code == ImageErrorCode.NOT_AN_IMAGE
    assert "0 bytes" in error.failure.message


def test_a_text_is_no_image_whatever_it_is_called() -> None:
    error = refusal(b"this is a text file that somebody named holiday.jpg\n")
    assert error.failure.code == ImageErrorCode.NOT_AN_IMAGE
    assert "JPEG, PNG, WebP, AVIF, GIF, BMP and TIFF" in error.failure.message


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x00\x00\x00\x18ftypmif1\0\0\0\0mif1heic" + bytes(20), "HEIF"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(20), "HEIC"),
        (b"8BPS\x00\x01" + bytes(20), "PSD"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7" + bytes(20), "PDF"),
    ],
)
def test_an_image_of_a_foreign_format_is_named(data: bytes, name: str) -> None:
    error = refusal(data)
    assert error.failure.code == ImageErrorCode.UNSUPPORTED_FORMAT
    assert error.failure.message.startswith(f"{name} is not supported")


def test_a_header_of_30000_by_30000_is_refused_before_decoding() -> None:
    error = refusal(png_header(30_000, 30_000))
    assert error.failure.code == ImageErrorCode.TOO_MANY_PIXELS
    assert "30000 x 30000 = 900000000 pixels, at most 100000000" in error.failure.message


def test_the_limit_itself_is_allowed() -> None:
    assert probe(png_header(10_000, 10_000), LIMIT) == Header("PNG", 10_000, 10_000)
    assert refusal(png_header(10_001, 10_000)).failure.code == ImageErrorCode.TOO_MANY_PIXELS


def test_a_picture_without_pixels_is_no_image() -> None:
    assert refusal(png_header(0, 40)).failure.code == ImageErrorCode.NOT_AN_IMAGE


def test_a_bottom_up_bitmap_has_a_positive_height() -> None:
    head = b"BM" + bytes(12) + struct.pack("<Iii", 40, 64, -48) + bytes(24)
    assert probe(head, LIMIT) == Header("BMP", 64, 48)


def test_a_big_tiff_tells_its_size() -> None:
    entries = struct.pack("<HHQQ", 256, 4, 1, 640) + struct.pack("<HHQQ", 257, 3, 1, 480)
    data = b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + struct.pack("<Q", 2) + entries
    assert probe(data, LIMIT) == Header("TIFF", 640, 480)


def test_an_offset_of_64_bits_is_no_image() -> None:
    data = b"MM\0+\0\x08\0\0\x80" + bytes(40)
    assert refusal(data).failure.code == ImageErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("name", ["china.jpg", "astronaut.png", "webp", "gif", "bmp", "tiff"])
def test_a_header_cut_short_is_no_image(samples: dict[str, bytes], name: str) -> None:
    for length in range(3, 10):
        assert refusal(samples[name][:length]).failure.code == ImageErrorCode.NOT_AN_IMAGE


STARTS = (
    b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\x00\x40Exif\0\0II*\0", b"\x89PNG\r\n\x1a\n", b"GIF89a",
    b"RIFF0000WEBPVP8 ", b"RIFF0000WEBPVP8X", b"RIFF0000WEBPVP8L", b"BM", b"II*\0", b"MM\0+",
)  # fmt: skip


@given(st.sampled_from(STARTS), st.binary(max_size=120))
def test_whatever_comes_in_only_a_header_or_a_refusal_comes_out(start: bytes, rest: bytes) -> None:
    try:
        header = probe(start + rest, ENOUGH)
    except ImageRejected:
        return
    assert header.width > 0
    assert header.height > 0
    assert 1 <= header.orientation <= 8
