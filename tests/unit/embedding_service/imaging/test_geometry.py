"""Sizes and windows are open_clip's own, to the pixel."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import (
    CenterCropOrPad,
    PreprocessCfg,
    ResizeKeepRatio,
    image_transform_v2,
)
from PIL import Image
from torchvision.transforms import CenterCrop, Resize

from embedding_service.imaging.geometry import Placement, ResizeMode, place

sides = st.integers(1, 700)
MODES = ("shortest", "longest", "squash")


def steps(mode: str, target: tuple[int, int]) -> tuple[object, object]:
    """open_clip's resize and crop for a (width, height) target."""
    height_width = (target[1], target[0])
    cfg = PreprocessCfg(size=height_width, resize_mode=mode)
    transforms = image_transform_v2(cfg, is_train=False).transforms
    return transforms[0], transforms[1]


@settings(max_examples=150, deadline=None)
@given(sides, sides, st.sampled_from(MODES), st.sampled_from([(224, 224), (320, 224)]))
def test_a_picture_is_resized_to_the_size_that_open_clip_takes(
    width: int, height: int, mode: str, target: tuple[int, int]
) -> None:
    if max(width, height) > 20 * min(width, height):
        return  # open_clip would make gigabytes of it; the window alone is made here
    resize, _ = steps(mode, target)
    assert isinstance(resize, Resize | ResizeKeepRatio)
    found = place(width, height, target, cast("ResizeMode", mode))
    assert found.resized == resize(Image.new("1", (width, height))).size


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900))
def test_the_window_is_the_one_that_open_clip_cuts(width: int, height: int) -> None:
    """Mark one pixel and look where both put it."""
    found = place(width, height, (224, 224), "longest")
    image = Image.new("L", found.resized)
    image.putpixel((found.resized[0] // 2, found.resized[1] // 2), 255)
    theirs = CenterCropOrPad(224)(image)
    assert theirs.getbbox() == ours(image, found).getbbox()


@given(st.integers(224, 900), st.integers(224, 900))
def test_the_crop_of_a_large_picture_is_torchvisions(width: int, height: int) -> None:
    image = Image.linear_gradient("L").resize((width, height))
    across, down = (width - 224) / 2, (height - 224) / 2
    left, top = round(across), round(down)
    box = (left, top, left + 224, top + 224)
    assert CenterCrop(224)(image).tobytes() == image.crop(box).tobytes()


def ours(image: Image.Image, placement: Placement) -> Image.Image:
    window, canvas = placement.window, Image.new("L", (224, 224))
    box = (window.left, window.top, window.left + window.width, window.top + window.height)
    canvas.paste(image.crop(box), placement.at)
    return canvas


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.sampled_from(MODES))
def test_the_window_lies_in_the_picture_and_lands_on_the_canvas(
    width: int, height: int, mode: str
) -> None:
    found = place(width, height, (224, 336), cast("ResizeMode", mode))
    window = found.window
    assert 0 <= window.left <= window.left + window.width <= found.resized[0]
    assert 0 <= window.top <= window.top + window.height <= found.resized[1]
    assert 0 <= found.at[0] <= found.at[0] + window.width <= 224
    assert 0 <= found.at[1] <= found.at[1] + window.height <= 336


@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_modes_without_padding_fill_the_canvas(mode: ResizeMode) -> None:
    for width, height in ((640, 427), (427, 640), (10, 3000), (3000, 10), (1, 1)):
        window = place(width, height, (224, 224), mode).window
        assert (window.width, window.height) == (224, 224)
