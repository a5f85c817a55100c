"""Turning agrees with Pillow's exif_transpose, and windows find their way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from embedding_service.imaging.geometry import Window
from embedding_service.imaging.orientation import seen_size, stored_window, turn

STORED = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_turn_as_pillow_turns_them(orientation: int) -> None:
    image = Image.fromarray(STORED)
    image.getexif()[274] = orientation
    assert np.array_equal(turn(STORED, orientation), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_seen_size_is_the_size_of_what_is_seen(orientation: int) -> None:
    seen = turn(STORED, orientation)
    assert seen_size(7, 5, orientation) == (seen.shape[1], seen.shape[0])


@given(st.integers(1, 8), st.data())
def test_a_window_cut_before_turning_is_the_window_cut_after(
    orientation: int, data: st.DataObject
) -> None:
    seen = turn(STORED, orientation)
    height, width = seen.shape[:2]
    left = data.draw(st.integers(0, width - 1))
    top = data.draw(st.integers(0, height - 1))
    window = Window(
        left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    )
    inside = stored_window(window, width, height, orientation)
    cut = STORED[inside.top : inside.top + inside.height, inside.left : inside.left + inside.width]
    wanted = seen[window.top : window.top + window.height, window.left : window.left + window.width]
    assert np.array_equal(turn(cut, orientation), wanted)
