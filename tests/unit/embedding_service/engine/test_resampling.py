"""torch's resize is Pillow's to rounding, so it may stand in for the reference."""

import io

import numpy as np
import pytest
from PIL import Image

from embedding_service.engine.resampling import torch_resample
from embedding_service.imaging.geometry import Window, place
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Interpolation, Profile, profile_of
from embedding_service.imaging.resample import pillow_resample


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(640, 427), (427, 640), (100, 60), (224, 224), (3000, 200)])
def test_it_agrees_with_pillow(
    photographs: dict[str, bytes], size: tuple[int, int], interpolation: Interpolation
) -> None:
    image = Image.open(io.BytesIO(photographs["china.jpg"])).resize(size)
    placement = place(*size, (224, 224), "shortest")
    arguments = (np.asarray(image), size, placement.resized, placement.window, interpolation)
    difference = np.abs(torch_resample(*arguments).astype(int) - pillow_resample(*arguments))
    assert difference.mean() < 0.3
    assert difference.max() <= 3


def test_it_agrees_on_whole_photographs(photographs: dict[str, bytes]) -> None:
    profile = profile_of({})
    for name, data in photographs.items():
        fast = prepare(data, profile, 10**8, torch_resample).astype(int)
        assert np.abs(fast - prepare(data, profile, 10**8)).mean() < 0.1, name


def test_a_picture_that_ends_inside_its_last_pixel_is_not_stretched() -> None:
    ramp = np.repeat(np.linspace(0, 250, 101, dtype=np.uint8)[None, :, None], 101, 0).repeat(3, 2)
    window = Window(0, 0, 50, 50)
    cut = torch_resample(ramp, (100.5, 100.5), (50, 50), window, "bicubic").astype(int)
    assert (
        np.abs(cut - pillow_resample(ramp, (100.5, 100.5), (50, 50), window, "bicubic")).max() <= 1
    )
    whole = torch_resample(ramp, (101.0, 101.0), (50, 50), window, "bicubic").astype(int)
    assert np.abs(cut - whole).max() > 0


def test_a_thin_picture_does_not_cost_the_memory_of_its_length() -> None:
    thin = np.zeros((1, 30_000, 3), np.uint8)
    placement = place(30_000, 1, (224, 224), "shortest")
    assert placement.resized == (6_720_000, 224)
    window = placement.window
    pixels = torch_resample(thin, (30_000.0, 1.0), placement.resized, window, "bicubic")
    assert pixels.shape == (224, 224, 3)
    assert Profile(size=(224, 224)).size == (window.width, window.height)
