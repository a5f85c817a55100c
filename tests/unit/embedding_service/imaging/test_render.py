"""The contract of preprocessing: pixels agree with open_clip's own transform."""

import io
import warnings
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps

from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import origin_profile, profile_of
from embedding_service.imaging.resample import pillow_resample

LIMIT = 100_000_000
MOST = 1.5
"""Mean absolute difference of 255 that server.md allows."""

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "shortest": {},
    "squash": {"resize_mode": "squash", "interpolation": "bilinear"},
    "longest": {"size": 256, "resize_mode": "longest", "fill_color": 127},
    "not square": {"size": (224, 320)},
}


def reference(data: bytes, cfg: PreprocessCfg) -> npt.NDArray[np.float64]:
    """Pixels [H, W, 3], 0 to 255, by open_clip's transform of the upright picture."""
    transform: Any = image_transform_v2(cfg, is_train=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow on transparent palettes
        tensor = transform(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    mean, std = np.array(cfg.mean)[:, None, None], np.array(cfg.std)[:, None, None]
    pixels: npt.NDArray[np.float64] = (tensor.numpy() * std + mean) * 255
    return pixels.transpose(1, 2, 0)


TELLING = (
    "china.jpg", "odd", "tall", "wide", "tiny", "very wide", "cmyk jpeg", "rgba png", "palette png",
    "gif", "one bit png", "16 bit grey png", "exif 3", "exif 6", "exif 7",
)  # fmt: skip
"""One sample of each kind; open_clip's default configuration is held to all of them."""


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_pixels_agree_with_open_clips_own_transform(samples: dict[str, bytes], name: str) -> None:
    cfg = PreprocessCfg(**CONFIGURATIONS[name])
    profile = profile_of(asdict(cfg))
    far = {}
    for sample in samples if name == "shortest" else TELLING:
        data = samples[sample]
        pixels = prepare(data, profile, LIMIT, pillow_resample)
        difference = np.abs(pixels - reference(data, cfg)).mean()
        if difference > MOST:
            far[sample] = round(float(difference), 3)
    assert not far


def test_without_a_scaled_decode_pixels_agree_to_rounding(samples: dict[str, bytes]) -> None:
    cfg = PreprocessCfg()
    profile = profile_of(asdict(cfg))
    for name in ("china.jpg", "rgba png", "palette png", "one bit png", "16 bit grey png", "gif"):
        pixels = prepare(samples[name], profile, LIMIT)
        assert np.abs(pixels - reference(samples[name], cfg)).mean() < 0.05, name


def test_the_origins_profile_is_opencvs_cubic_squash(samples: dict[str, bytes]) -> None:
    profile = origin_profile(profile_of({}))
    for name in ("china.jpg", "full hd", "exif 6", "astronaut.png"):
        decoded = cv2.imdecode(np.frombuffer(samples[name], np.uint8), cv2.IMREAD_COLOR_RGB)
        assert decoded is not None
        wanted = cv2.resize(decoded, (224, 224), interpolation=cv2.INTER_CUBIC)
        difference = np.abs(prepare(samples[name], profile, LIMIT).astype(int) - wanted).mean()
        assert difference < 0.5, name


def test_a_thin_picture_costs_only_its_window(photograph: Image.Image) -> None:
    target = io.BytesIO()
    photograph.resize((30_000, 2)).save(target, "PNG")
    pixels = prepare(target.getvalue(), profile_of({}), LIMIT)
    assert pixels.shape == (224, 224, 3)
    assert pixels.std() > 1
