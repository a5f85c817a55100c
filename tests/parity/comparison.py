"""Our pixels and vectors beside those of open_clip's own transform, for real configurations."""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps

from embedding_contract.endpoints import TINY_MODEL
from embedding_service.engine import encoder  # noqa: F401 - registers the tiny model
from embedding_service.engine.resampling import torch_resample
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import profile_of
from embedding_service.imaging.resample import Resample, pillow_resample
from parity.pictures import Kinds

MAX_DIFFERENCE: Final = 1.5
"""Mean absolute difference of pixels, of 255, that is allowed."""
MIN_COSINE: Final = 0.999
MAX_PIXELS: Final = 100_000_000

RESAMPLES: Final[dict[str, Resample]] = {"pillow": pillow_resample, "torch": torch_resample}


@dataclass(frozen=True)
class Configuration:
    """One line of open_clip's table of weights; `made` replaces facts of it."""

    model: str
    tag: str
    made: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.model} {self.tag}"

    @property
    def facts(self) -> PreprocessCfg:
        """open_clip's own facts about pixels."""
        table = open_clip.get_pretrained_cfg(self.model, self.tag) or {}
        known = ("mean", "std", "interpolation", "resize_mode")
        facts: dict[str, Any] = {name: table[name] for name in known if table.get(name)}
        config = open_clip.get_model_config(self.model)
        assert config is not None
        facts["size"] = config["vision_cfg"]["image_size"]
        return PreprocessCfg(**(facts | dict(self.made)))


CONFIGURATIONS: Final = (
    Configuration("ViT-B-32", "openai"),
    Configuration("ViT-B-16-SigLIP", "webli"),
    Configuration("ViT-B-16-SigLIP-384", "webli"),
    Configuration("MobileCLIP-S2", "datacompdr"),
    Configuration("ViT-L-14-CLIPA-336", "datacomp1b"),
    Configuration("RN50x4", "openai"),
    Configuration("convnext_base_w_320", "laion_aesthetic_s13b_b82k"),
    Configuration("ViT-H-14-378", "dfn5b"),
    Configuration(
        "ViT-B-32-256", "datacomp_s34b_b86k",
        made=(("resize_mode", "longest"), ("fill_color", 127)),
    ),
)  # fmt: skip
"""Eight of the table, no two alike in the facts together; the ninth pads, which open_clip can."""

REAL: Final = CONFIGURATIONS[0]
"""Its own image tower is used. Elsewhere sluice-tiny stands in, at the right input size: what is
compared are pixels, and a small network of random weights reacts to them too."""


@dataclass(frozen=True)
class Found:
    """How far one picture is off: the worse of the two ways to resize, and that one's cosine."""

    configuration: str
    kind: str
    picture: str
    difference: float
    cosine: float

    def of(self, configuration: str) -> "Found":
        """Return the same under another name."""
        return replace(self, configuration=configuration)


@dataclass(frozen=True)
class Seen:
    """A picture as open_clip's users see it: decoded by Pillow, turned upright."""

    kind: str
    name: str
    data: bytes
    upright: Image.Image


def seen(kinds: Kinds) -> list[Seen]:
    """Decode every picture once for the reference."""
    return [
        Seen(kind, name, data, _upright(data))
        for kind, pictures in kinds.items()
        for name, data in pictures.items()
    ]


def _upright(data: bytes) -> Image.Image:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image.load()
    return image


def compare(
    configuration: Configuration,
    pictures: Sequence[Seen],
    network: Any,
    ours: PreprocessCfg | None = None,
) -> Iterator[Found]:
    """Compare every picture under one configuration.

    Args:
        configuration: whose facts open_clip's transform gets.
        pictures: what to compare.
        network: what `network_for` gives.
        ours: the facts that our side gets, when they are to differ.
    """
    facts = configuration.facts
    profile = profile_of(asdict(ours or facts))
    for picture in pictures:
        wanted = _reference(picture.upright, facts)
        if wanted is None:
            continue
        found = [
            prepare(picture.data, profile, MAX_PIXELS, resample) for resample in RESAMPLES.values()
        ]
        differences = [float(np.abs(pixels - wanted).mean()) for pixels in found]
        worst = found[int(np.argmax(differences))]
        cosine = _cosine(network, facts, wanted, worst)
        yield Found(configuration.name, picture.kind, picture.name, max(differences), cosine)


def _reference(upright: Image.Image, facts: PreprocessCfg) -> npt.NDArray[np.float64] | None:
    """Return pixels [H, W, 3], 0 to 255, of open_clip's transform, its normalisation undone.

    None where there is no reference: of a very thin picture the longest side resized leaves a
    width of 0, and open_clip's transform raises.
    """
    thinnest = min(upright.size) / max(upright.size)
    if facts.resize_mode == "longest" and round(_side(facts) * thinnest) < 1:
        return None
    transform: Any = image_transform_v2(facts, is_train=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow on transparent palettes
        tensor = transform(upright)
    mean, std = _columns(facts)
    pixels: npt.NDArray[np.float64] = (tensor.numpy() * std + mean) * 255
    return pixels.transpose(1, 2, 0)


def _columns(facts: PreprocessCfg) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    mean, std = np.array(facts.mean, np.float64), np.array(facts.std, np.float64)
    return mean[:, None, None], std[:, None, None]


def _side(facts: PreprocessCfg) -> int:
    return facts.size if isinstance(facts.size, int) else max(facts.size)


def network_for(configuration: Configuration, *, real: bool) -> Any:
    """Return a network of seeded random weights that takes pictures of the right size."""
    torch.manual_seed(4)
    name = configuration.model if real else TINY_MODEL
    network: Any = open_clip.create_model(
        name, load_weights=False, force_image_size=configuration.facts.size
    )
    return network.eval()


def _cosine(
    network: Any,
    facts: PreprocessCfg,
    wanted: npt.NDArray[np.float64],
    found: npt.NDArray[np.uint8],
) -> float:
    """Return the cosine of the two pictures' vectors, in fp32."""
    mean, std = _columns(facts)
    stack = np.stack([wanted, found]).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        batch = torch.from_numpy(((stack / 255 - mean) / std).astype(np.float32))
        vectors = network.encode_image(batch).double().numpy()
    first, second = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(first @ second)
