"""What a model wants to see: the facts of open_clip's `preprocess_cfg`, as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from embedding_service.imaging.geometry import ResizeMode

Interpolation = Literal["bicubic", "bilinear"]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Profile:
    """How pixels are made and normalised.

    `size` is (width, height) in pixels; `mean` and `std` are of RGB in 0..1; `fill_color` is
    0..255. `antialias` False is the origin's way: OpenCV, cubic, squashed, no antialiasing.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    resize_mode: ResizeMode = "shortest"
    interpolation: Interpolation = "bicubic"
    fill_color: int = 0
    antialias: bool = True


def profile_of(cfg: Mapping[str, object]) -> Profile:
    """Read a model's own `preprocess_cfg`.

    Raises:
        ValueError: a resize mode or colour mode that open_clip does not have.
    """
    mode = str(cfg.get("resize_mode") or "shortest")
    if mode not in ("shortest", "longest", "squash"):
        raise ValueError(f"resize_mode {mode!r} is not known")
    if cfg.get("mode", "RGB") != "RGB":
        raise ValueError(f"colour mode {cfg.get('mode')!r} is not known")
    # open_clip itself takes bicubic for everything that is not bilinear.
    bilinear = cfg.get("interpolation") == "bilinear"
    return Profile(
        size=_size(cfg.get("size", 224)),
        mean=_triple(cfg.get("mean") or OPENAI_MEAN),
        std=_triple(cfg.get("std") or OPENAI_STD),
        resize_mode=cast("ResizeMode", mode),
        interpolation="bilinear" if bilinear else "bicubic",
        fill_color=int(cast("int", cfg.get("fill_color") or 0)),
    )


def origin_profile(profile: Profile) -> Profile:
    """Return the origin's way of making pixels for the same model."""
    return replace(profile, resize_mode="squash", interpolation="bicubic", antialias=False)


def _size(value: object) -> tuple[int, int]:
    """(width, height) of a whole number or of open_clip's (height, width)."""
    if isinstance(value, int):
        return value, value
    height, *rest = cast("Sequence[int]", value)
    return int(rest[0]) if rest else int(height), int(height)


def _triple(value: object) -> tuple[float, float, float]:
    if isinstance(value, int | float):
        return float(value), float(value), float(value)
    red, green, blue = cast("Sequence[float]", value)
    return float(red), float(green), float(blue)
