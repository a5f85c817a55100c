"""AVIF: sizes as Pillow finds them, and no frame larger than the limit however it is hidden."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.imaging import probe as probing
from embedding_service.imaging.avif import is_avif, read_sizes
from embedding_service.imaging.damaged import Damaged
from embedding_service.imaging.decode import decode
from embedding_service.imaging.probe import Header, probe

LIMIT = 100_000_000

if not features.check("avif"):
    pytest.skip("this Pillow does not decode AVIF", allow_module_level=True)


def avif(width: int = 60, height: int = 40, **options: object) -> bytes:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    target = io.BytesIO()
    image.save(target, "AVIF", speed=10, **options)
    return target.getvalue()


def animated() -> bytes:
    frames = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue")]
    target = io.BytesIO()
    frames[0].save(target, "AVIF", save_all=True, append_images=frames[1:], speed=10)
    return target.getvalue()


def claiming(data: bytes, width: int, height: int) -> bytes:
    """Change what the file says about its size; its stream stays as it is."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def code_of(data: bytes, limit: int = LIMIT) -> str:
    with pytest.raises(ImageRejected) as caught:
        probe(data, limit)
    return caught.value.failure.code


def test_the_size_is_read_from_the_header() -> None:
    assert probe(avif(), LIMIT) == Header("AVIF", 60, 40)


def test_alpha_and_grey_and_depth_change_nothing() -> None:
    clear = Image.new("RGBA", (33, 21), (9, 8, 7, 6))
    target = io.BytesIO()
    clear.save(target, "AVIF", speed=10)
    assert read_sizes(target.getvalue()) == [(33, 21)] * 3  # the alpha is a stream of its own
    assert probe(avif(subsampling="4:0:0"), LIMIT) == Header("AVIF", 60, 40)


def test_a_sequence_gives_its_first_picture() -> None:
    data = animated()
    assert data[8:12] == b"avis"
    header = probe(data, LIMIT)
    assert (header.width, header.height) == (48, 32)
    raster = decode(data, header, (1, 1), LIMIT).raster
    assert np.abs(np.asarray(raster)[5, 5].astype(int) - (255, 0, 0)).max() < 12


def test_more_pixels_than_the_limit_are_refused_before_decoding() -> None:
    assert code_of(claiming(avif(), 30_000, 30_000)) == ImageErrorCode.TOO_MANY_PIXELS
    assert code_of(avif(60, 40), 2399) == ImageErrorCode.TOO_MANY_PIXELS


def test_a_stream_that_is_larger_than_the_file_says_is_refused() -> None:
    """libavif would decode it whole, then scale it down to what the file says."""
    hidden = claiming(avif(600, 400), 6, 4)
    assert Image.open(io.BytesIO(hidden)).size == (6, 4)
    assert code_of(hidden, 100_000) == ImageErrorCode.TOO_MANY_PIXELS


def test_the_brands_decide() -> None:
    data = avif()
    assert is_avif(data[:8] + b"mif1" + data[12:])
    assert not is_avif(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")
    assert not is_avif(b"\0\0\0\x14ftypheic\0\0\0\0avif")


def test_without_a_decoder_the_format_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "DECODES_AVIF", False)
    assert code_of(avif()) == ImageErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_the_one_that_pillow_sees(orientation: int) -> None:
    """AVIF says it with irot and imir; Pillow turns them into EXIF's number."""
    exif = Image.Exif()
    exif[274] = orientation
    data = avif(exif=exif)
    assert decode(data, probe(data, LIMIT), (1, 1), LIMIT).orientation == orientation


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_boxes_give_sizes_or_a_refusal(data: st.DataObject) -> None:
    damaged = bytearray(SAMPLES[data.draw(st.integers(0, 1))])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(len(damaged), 700) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        sizes = read_sizes(bytes(damaged))
    except (Damaged, struct.error, IndexError):
        return
    assert all(width >= 0 and height >= 0 for width, height in sizes)


SAMPLES = (avif(), animated())
