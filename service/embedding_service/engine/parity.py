"""The parity self-test: golden images and texts, our whole path against open_clip's own.

Vectors are stored for years and compared with vectors from elsewhere, so a path that has left the
reference must not serve. Pure: figures in, a verdict out. `reference.py` makes the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

PIXELS_ALLOWED: Final = 1.5
"""Mean absolute difference of one image's pixels, of 255, at most."""

COSINE_LEAST: Final = 0.999
"""Cosine of a vector with its reference at least, whatever the number format: bf16 and fp16 weights
were measured at 0.99995 and better, so a miss is a fault and not rounding."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the golden images and texts must become.

    `pixels` is uint8 RGB [images, H, W, 3] of the reference transform, `vectors` float32
    [images, dimensions] and `text_vectors` float32 [texts, dimensions] of the plain fp32 network,
    all of unit length.
    """

    names: tuple[str, ...]
    images: tuple[bytes, ...]
    pixels: npt.NDArray[np.uint8]
    vectors: Vectors
    texts: tuple[str, ...]
    text_vectors: Vectors


@dataclass(frozen=True, slots=True)
class Parity:
    """The worst figures and whose they are. NaN counts as the worst."""

    cosine_min: float
    cosine_of: str
    pixel_difference_max: float
    pixel_difference_of: str


def compare(
    reference: Reference, pixels: npt.NDArray[np.uint8], vectors: Vectors, text_vectors: Vectors
) -> Parity:
    """Compare what our path made of the golden images and texts; shapes as in `Reference`."""
    differences = np.abs(pixels.astype(np.int16) - reference.pixels).mean(axis=(1, 2, 3))
    cosines = np.concatenate(
        [(vectors * reference.vectors).sum(1), (text_vectors * reference.text_vectors).sum(1)]
    )
    cosines = np.nan_to_num(cosines, nan=-1.0)
    names: Sequence[str] = [*reference.names, *(f"text {text!r}" for text in reference.texts)]
    far, low = int(np.argmax(differences)), int(np.argmin(cosines))
    return Parity(
        cosine_min=min(1.0, float(cosines[low])),
        cosine_of=names[low],
        pixel_difference_max=float(differences[far]),
        pixel_difference_of=names[far],
    )


def miss(parity: Parity, precision: str, preprocess: str) -> str | None:
    """Return None when the vectors are the reference's, else the figures and what to do."""
    pixels_good = parity.pixel_difference_max <= PIXELS_ALLOWED
    if pixels_good and parity.cosine_min >= COSINE_LEAST:
        return None
    figures = (
        f"worst cosine {parity.cosine_min:.5f} ({parity.cosine_of}; {COSINE_LEAST} is needed), "
        f"worst pixel difference {parity.pixel_difference_max:.3f} of 255 "
        f"({parity.pixel_difference_of}; {PIXELS_ALLOWED} is allowed)"
    )
    if pixels_good and precision != "fp32":
        advice = f"the pixels agree, so precision {precision} is too coarse: use fp32"
    elif pixels_good:
        advice = "the pixels agree, the forward pass does not: report this with the model's name"
    else:
        advice = (
            f"preprocess {preprocess} makes other pixels than its reference: report this with the "
            "model's name"
        )
    return (
        f"the vectors would not be those of the reference: {figures}. {advice[0].upper()}"
        f"{advice[1:]}, or start without the check (EMBEDDING_PARITY_CHECK=off)"
    )
