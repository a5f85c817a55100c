"""A profile says what the model's own configuration says."""

from dataclasses import asdict

import open_clip
import pytest
from open_clip.transform import PreprocessCfg

from embedding_service.imaging.profile import (
    OPENAI_MEAN,
    OPENAI_STD,
    Profile,
    origin_profile,
    profile_of,
)


def test_an_empty_configuration_gives_open_clips_defaults() -> None:
    assert profile_of({}) == profile_of(asdict(PreprocessCfg()))
    assert (OPENAI_MEAN, OPENAI_STD) == (
        open_clip.OPENAI_DATASET_MEAN,
        open_clip.OPENAI_DATASET_STD,
    )


def test_every_fact_is_taken_over() -> None:
    cfg = {
        "size": (224, 320), "mean": 0.5, "std": [0.1, 0.2, 0.3], "resize_mode": "longest",
        "interpolation": "bilinear", "fill_color": 127, "mode": "RGB",
    }  # fmt: skip
    assert profile_of(cfg) == Profile(
        size=(320, 224),
        mean=(0.5, 0.5, 0.5),
        std=(0.1, 0.2, 0.3),
        resize_mode="longest",
        interpolation="bilinear",
        fill_color=127,
    )


def test_random_interpolation_means_bicubic_as_in_open_clip() -> None:
    assert profile_of({"interpolation": "random"}).interpolation == "bicubic"


@pytest.mark.parametrize("cfg", [{"resize_mode": "stretch"}, {"mode": "L"}])
def test_what_open_clip_does_not_have_is_refused(cfg: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not known"):
        profile_of(cfg)


def test_the_origins_way_keeps_size_and_colours_of_the_model() -> None:
    profile = profile_of({"size": 336, "mean": 0.5})
    found = origin_profile(profile)
    assert (found.size, found.mean, found.std) == (profile.size, profile.mean, profile.std)
    assert (found.resize_mode, found.antialias) == ("squash", False)
