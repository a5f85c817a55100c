"""Decoding makes no more pixels than needed, and damage is a refusal, never a crash."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.imaging.decode import decode
from embedding_service.imaging.probe import probe

LIMIT = 100_000_000


def raster_size(data: bytes, least: tuple[int, int]) -> tuple[int, int]:
    raster = decode(data, probe(data, LIMIT), least, LIMIT).raster
    return raster.size if isinstance(raster, Image.Image) else (raster.shape[1], raster.shape[0])


@pytest.mark.parametrize(
    ("name", "least", "size"),
    [
        ("full hd", (398, 224), (960, 540)),
        ("odd", (398, 224), (960, 539)),
        ("huge", (298, 224), (1008, 756)),
        ("huge", (100, 75), (504, 378)),
        ("huge", (1500, 1125), (2016 * 2, 1512 * 2)),
        ("china.jpg", (335, 224), (640, 427)),
        ("cmyk jpeg", (305, 224), (750, 550)),
    ],
)
def test_a_jpeg_is_scaled_down_to_no_less_than_twice_the_target(
    samples: dict[str, bytes], name: str, least: tuple[int, int], size: tuple[int, int]
) -> None:
    assert raster_size(samples[name], least) == size


def test_a_scaled_picture_remembers_where_it_truly_ends(samples: dict[str, bytes]) -> None:
    data = samples["odd"]
    picture = decode(data, probe(data, LIMIT), (398, 224), LIMIT)
    assert picture.size == (1919, 1077)
    assert picture.extent == (959.5, 538.5)


@pytest.mark.parametrize(
    "name", ["china.jpg", "progressive", "cmyk jpeg", "astronaut.png", "webp", "gif", "tiff", "bmp"]
)
def test_a_file_cut_in_half_is_not_an_image(samples: dict[str, bytes], name: str) -> None:
    data = samples[name][: len(samples[name]) // 2]
    with pytest.raises(ImageRejected) as caught:
        raster_size(data, (224, 224))
    assert caught.value.failure.code == ImageErrorCode.NOT_AN_IMAGE


def test_a_jpeg_with_a_stray_byte_is_still_a_picture(samples: dict[str, bytes]) -> None:
    """libjpeg warns about bytes before a marker; everybody else shows such a file."""
    data = samples["china.jpg"]
    stray = data[:-2] + b"\x00\x00\x00" + data[-2:]
    assert raster_size(stray, (224, 224)) == (640, 427)


def test_a_16_bit_png_keeps_its_high_bytes(samples: dict[str, bytes]) -> None:
    data = samples["16 bit rgb png"]
    raster = decode(data, probe(data, LIMIT), (224, 224), LIMIT).raster
    plain = np.asarray(Image.open(io.BytesIO(samples["bmp"])))
    assert isinstance(raster, np.ndarray)
    assert np.abs(raster.astype(int) - plain).max() == 0


def test_a_decoder_that_finds_more_pixels_than_the_limit_is_stopped(
    samples: dict[str, bytes],
) -> None:
    """The header was probed with one limit; what Pillow opens is checked again."""
    data = samples["astronaut.png"]
    with pytest.raises(ImageRejected) as caught:
        decode(data, probe(data, LIMIT), (224, 224), 1000)
    assert caught.value.failure.code == ImageErrorCode.TOO_MANY_PIXELS


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["tiny", "gif", "webp", "palette png", "one pixel"]), st.data())
def test_damage_is_a_refusal_or_a_picture_but_never_a_crash(
    samples: dict[str, bytes], name: str, data: st.DataObject
) -> None:
    damaged = bytearray(samples[name])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        header = probe(bytes(damaged), 4_000_000)
        picture = decode(bytes(damaged), header, (224, 224), 4_000_000)
    except ImageRejected:
        return
    assert picture.size[0] * picture.size[1] <= 4_000_000
