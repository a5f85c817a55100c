"""The vectors as open_clip itself makes them: its own transform, its own encode_image.

Only the weights come from our loader, because a seed is the one thing that open_clip has no word
for. Nothing of our decoding, resizing, batching or lanes takes part.
"""

import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from embedding_service.engine.encoder import load_network
from load.photographs import Photograph

Vector = npt.NDArray[np.float32]


def reference_vectors(
    files: Iterable[Photograph], model: str, pretrained: str
) -> dict[str, Vector]:
    """Return float32 unit vectors by file name."""
    network = load_network(model, pretrained)
    config = PreprocessCfg(**network.visual.preprocess_cfg)  # type: ignore[attr-defined]
    transform = image_transform_v2(config, is_train=False)
    found: dict[str, Vector] = {}
    for file in files:
        with Image.open(io.BytesIO(file.data)) as image, torch.inference_mode():
            vector = network.encode_image(transform(image).unsqueeze(0))[0].float()
        found[file.name] = (vector / vector.norm()).numpy()
    return found


def cosine(one: Vector, other: Vector) -> float:
    """Cosine of the angle between two vectors."""
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
