"""The reference of the parity self-test: open_clip's own transform and the plain fp32 network.

Nothing of our decoding, resizing, lowering or packing takes part, and the network is the one that
was just loaded: no second copy of it stays in memory.
"""

import io
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps

from embedding_service.engine.parity import Reference
from embedding_service.imaging.golden import golden_images

TEXTS: Final = ("a photograph of a temple", "zwei Hunde am Strand, 1987")


def make_reference(
    network: Any, tokenizer: Any, preprocess: str, device: torch.device
) -> Reference:
    """Compute the reference of the golden images and texts.

    Args:
        network: the open_clip model in fp32 on `device`, as it was loaded.
        tokenizer: the model's own.
        preprocess: model or origin. The origin's pixels are OpenCV's cubic squash.
        device: where `network` is.
    """
    golden = golden_images()
    cfg = PreprocessCfg(**network.visual.preprocess_cfg)
    make = _open_clips_pixels if preprocess == "model" else _origins_pixels
    pixels = np.stack([make(data, cfg) for data in golden.values()])
    with torch.inference_mode():
        images = network.encode_image(_normalised(pixels, cfg).to(device))
        texts = network.encode_text(tokenizer(list(TEXTS)).to(device))
        return Reference(
            names=tuple(golden),
            images=tuple(golden.values()),
            pixels=pixels,
            vectors=_unit(images),
            texts=TEXTS,
            text_vectors=_unit(texts),
        )


def _open_clips_pixels(data: bytes, cfg: PreprocessCfg) -> npt.NDArray[np.uint8]:
    """Return what open_clip's transform makes of an upright picture, before it normalises.

    It resizes in whole numbers, so undoing its normalisation loses nothing.
    """
    transform: Any = image_transform_v2(cfg, is_train=False)
    with Image.open(io.BytesIO(data)) as image:
        made = transform(ImageOps.exif_transpose(image))
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (cfg.mean, cfg.std))
    rounded = ((made * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())


def _origins_pixels(data: bytes, cfg: PreprocessCfg) -> npt.NDArray[np.uint8]:
    """Return the origin's pixels: read by OpenCV, cubic, squashed to the model's size."""
    size = cfg.size if isinstance(cfg.size, int) else tuple(cfg.size)[::-1]
    width, height = (size, size) if isinstance(size, int) else size
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    resized = cv2.resize(rgb, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def _normalised(pixels: npt.NDArray[np.uint8], cfg: PreprocessCfg) -> torch.Tensor:
    """Return float32 [images, 3, H, W] as torchvision's ToTensor and Normalize would."""
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (cfg.mean, cfg.std))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def _unit(vectors: torch.Tensor) -> npt.NDArray[np.float32]:
    unit = torch.nn.functional.normalize(vectors.float(), dim=-1)
    return np.array(unit.cpu().numpy(), np.float32)
