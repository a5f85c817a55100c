"""The encoder: an open_clip model, its tokenizer and its pixel profile, on one device.

Every way in which a model can be missing ends in ModelUnavailable with what to do about it.
"""

import copy
import difflib
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, cast

import open_clip
import torch

from embedding_contract.endpoints import SEEDED_RANDOM_PREFIX, TINY_MODEL
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.packed import pack_where_faster
from embedding_service.engine.parity import Reference
from embedding_service.engine.precision import DTYPES, choose, lowered
from embedding_service.engine.reference import make_reference
from embedding_service.errors import ModelUnavailable
from embedding_service.imaging.profile import Profile, origin_profile, profile_of

_log = logging.getLogger(__name__)

_SCHEMAS: Final = ("hf-hub:", "local-dir:")
"""Prefixes by which open_clip finds configuration and weights in one place."""

open_clip.add_model_config(Path(__file__).parent / "models")


class Network(Protocol):
    """What we use of an open_clip model."""

    def encode_image(self, image: torch.Tensor) -> torch.Tensor:
        """Return [batch, dimensions] of normalised [batch, 3, H, W]."""
        ...

    def encode_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return [batch, dimensions] of tokens [batch, context_length]."""
        ...

    def to(self, device: torch.device) -> "Network":
        """Move the weights."""
        ...

    def eval(self) -> "Network":
        """Switch training behaviour off."""
        ...


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded model. Its methods run on the caller's thread and current stream."""

    info: ModelInfo
    profile: Profile
    network: Network
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    scale: torch.Tensor
    shift: torch.Tensor
    reference: Reference | None = None
    """What the golden images must become; None without the parity check."""

    def encode_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return unit vectors float32 [batch, dimensions] of uint8 RGB [batch, H, W, 3]."""
        batch, height, width, _ = pixels.shape
        rows = pixels.reshape(batch, height, width * 3).float().mul_(self.scale).add_(self.shift)
        image = rows.view(batch, height, width, 3).permute(0, 3, 1, 2)
        return self._unit(self.network.encode_image(image.to(self.dtype)))

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors float32 [batch, dimensions] of texts."""
        tokens = self.tokenizer(list(texts)).to(self.device)
        return self._unit(self.network.encode_text(tokens))

    def _unit(self, vectors: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(vectors.float(), dim=-1)


def load_network(model: str, pretrained: str, precision: str = "fp32") -> Network:
    """Load an open_clip model on the CPU, ready to infer.

    Args:
        model: a name of open_clip, `sluice-tiny`, `hf-hub:...` or `local-dir:...`.
        pretrained: a tag of open_clip, a path of a checkpoint (a file, or a folder with
            open_clip_config.json), or `random:<seed>`.
        precision: fp32, tf32, fp16 or bf16.

    Raises:
        ModelUnavailable: with what to do about it.
    """
    precision = "fp32" if precision == "tf32" else precision
    if pretrained.startswith(SEEDED_RANDOM_PREFIX):
        _check_name(model)
        return _random_network(model, _seed(pretrained), precision)
    if Path(pretrained).is_dir():
        model, pretrained = f"local-dir:{pretrained}", ""
    _check_name(model)
    _check_pretrained(model, pretrained)
    try:
        network = open_clip.create_model(
            model, pretrained or None, precision=precision, require_pretrained=True
        )
    except Exception as error:  # whatever a download or a checkpoint raises
        raise _not_loaded(model, pretrained, error) from error
    return cast("Network", network.eval().requires_grad_(False))


def load_encoder(
    model: str,
    pretrained: str,
    *,
    precision: str = "auto",
    device: str = "auto",
    preprocess: str = "model",
    max_batch: int = 32,
    parity_check: bool = False,
) -> Encoder:
    """Load model and tokenizer onto a device. `precision` and `device` may be auto.

    With `parity_check` the encoder brings the reference of the self-test along, and precision auto
    may choose bf16 weights on a CPU.

    Raises:
        ModelUnavailable: with what to do about it.
    """
    place = _device(device)
    if pretrained.startswith(SEEDED_RANDOM_PREFIX):
        _log.warning("weights are random (%s): the vectors of %s mean nothing", pretrained, model)
    network = load_network(model, pretrained)
    tokenizer = _tokenizer(model, pretrained)
    profile = profile_of(cast("Any", network).visual.preprocess_cfg)
    if preprocess == "origin":
        profile = origin_profile(profile)
    reference = _reference(network, tokenizer, preprocess, place) if parity_check else None
    make = _Maker(model, pretrained, tokenizer, profile, place, max_batch, reference)
    if precision == "auto":
        encoder, reason = choose(network, make, place, reference=reference, max_batch=max_batch)
    else:
        encoder, reason = make(network, _given(precision, place)), "as the settings say"
    notes = {"precision": encoder.info.precision, "reason": reason}
    _log.info("precision chosen", extra=notes)
    return replace(encoder, info=replace(encoder.info, precision_reason=reason))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes encoders of one loaded model in any precision. Satisfies `precision.Make`."""

    model: str
    pretrained: str
    tokenizer: Any
    profile: Profile
    place: torch.device
    max_batch: int
    reference: Reference | None

    def __call__(self, network: Network, precision: str) -> Encoder:
        """Lower the fp32 `network` in place, move it to the device, put an encoder around it."""
        _set_float32_mode(precision)
        dtype = DTYPES[precision]
        served = cast("Network", lowered(network, precision)).to(self.place).eval()
        if self.place.type == "cpu":
            served = self._packed(served, precision)
        width, height = self.profile.size
        info = ModelInfo(
            name=self.model,
            pretrained=self.pretrained,
            precision=precision,
            device=self.place.type,
            dimensions=_dimensions(served, (height, width), self.place, dtype),
            image_size=(height, width),
            context_length=int(getattr(self.tokenizer, "context_length", None) or 77),
            meaningful=not self.pretrained.startswith(SEEDED_RANDOM_PREFIX),
            max_batch=self.max_batch,
        )
        scale, shift = _normalisation(self.profile, self.place)
        return Encoder(
            info, self.profile, served, self.tokenizer, self.place, dtype, scale, shift,
            self.reference,
        )  # fmt: skip

    def _packed(self, network: Network, precision: str) -> Network:
        """Return the network with the layers that are faster on this CPU."""

        def load_again() -> Network:
            plain = load_network(self.model, self.pretrained)
            return cast("Network", lowered(plain, precision)).eval()

        probe = functools.partial(_probe_vectors, dtype=DTYPES[precision])
        return cast("Network", pack_where_faster(network, probe, load_again))


def _probe_vectors(network: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return the vectors [3, dimensions] of two noise pictures and of the empty text."""
    noise = torch.Generator().manual_seed(0)
    width, height = profile_of(network.visual.preprocess_cfg).size
    images = torch.randn(2, 3, height, width, generator=noise).to(dtype)
    tokens = torch.zeros(1, int(network.context_length), dtype=torch.long)
    with torch.inference_mode():
        return torch.cat([network.encode_image(images), network.encode_text(tokens)]).float()


def _check_name(model: str) -> None:
    names = open_clip.list_models()
    if model in names or model.startswith(_SCHEMAS) or model.replace("/", "-") in names:
        return
    near = difflib.get_close_matches(model, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"for a first try use {TINY_MODEL}."
    raise ModelUnavailable(
        f"model {model!r} is not known to open_clip {open_clip.__version__}; {hint} "
        "All names: python -c 'import open_clip; print(open_clip.list_models())'"
    )


def _check_pretrained(model: str, pretrained: str) -> None:
    if model.startswith(_SCHEMAS) or Path(pretrained).is_file():
        return
    tags = open_clip.list_pretrained_tags_by_model(model.replace("/", "-"))
    if pretrained.lower() in (tag.lower() for tag in tags):
        return
    if "/" in pretrained or Path(pretrained).suffix:
        raise ModelUnavailable(
            f"the checkpoint {pretrained!r} does not exist in the container; "
            "mount it there, or use a tag of open_clip"
        )
    known = f"known tags: {', '.join(tags)}" if tags else "open_clip has no weights for it"
    raise ModelUnavailable(
        f"{pretrained!r} is not a known tag of model {model!r}; {known}. A path of a checkpoint "
        f"or {SEEDED_RANDOM_PREFIX}0 (random weights, for a test) works too"
    )


def _seed(pretrained: str) -> int:
    text = pretrained.removeprefix(SEEDED_RANDOM_PREFIX)
    if not text.isdecimal() or int(text) >= 2**63:
        raise ModelUnavailable(
            f"{pretrained!r} does not name a seed; write {SEEDED_RANDOM_PREFIX}0 for example"
        )
    return int(text)


def _random_network(model: str, seed: int, precision: str) -> Network:
    """Build the architecture with weights drawn from the seed; the global state is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = open_clip.create_model(
                model, precision=precision, load_weights=False, pretrained_text=False
            )
        except Exception as error:  # towers of other libraries need their files
            raise _not_loaded(model, "", error) from error
    return cast("Network", network.eval().requires_grad_(False))


def _not_loaded(model: str, pretrained: str, error: Exception) -> ModelUnavailable:
    reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
    if Path(pretrained).is_file():
        return ModelUnavailable(
            f"the checkpoint {pretrained!r} could not be loaded into model {model!r}; "
            f"is it a checkpoint of this very architecture? ({reason})"
        )
    return ModelUnavailable(
        f"the weights of model {model!r}, pretrained {pretrained!r}, could not be fetched; allow "
        "the pod to reach the model hub, or mount a checkpoint and give its path as pretrained "
        f"({reason})"
    )


def _tokenizer(model: str, pretrained: str) -> Any:
    name = f"local-dir:{pretrained}" if Path(pretrained).is_dir() else model
    try:
        return open_clip.get_tokenizer(name)
    except Exception as error:  # tokenizers of other libraries need their files
        raise ModelUnavailable(
            f"the tokenizer of model {model!r} could not be fetched; allow the pod to reach the "
            f"model hub, or use a folder with open_clip_config.json ({error})"
        ) from error


def _device(device: str) -> torch.device:
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ModelUnavailable(
            "device is cuda, but no usable GPU is here; ask for one in spec.gpu, or use device auto"
        )
    if not available or device == "cpu":
        return torch.device("cpu")
    # With its index: a thread of a lane must name the device that it uses.
    return torch.device("cuda", torch.cuda.current_device())


def _given(precision: str, device: torch.device) -> str:
    return "fp32" if precision == "tf32" and device.type == "cpu" else precision


def _reference(
    network: Network, tokenizer: Any, preprocess: str, device: torch.device
) -> Reference:
    """Compute the reference where it is fast; a GPU too small for fp32 leaves it to the CPU."""
    _set_float32_mode("fp32")
    if device.type == "cpu":
        return make_reference(network, tokenizer, preprocess, device)
    try:
        return make_reference(copy.deepcopy(network).to(device), tokenizer, preprocess, device)
    except torch.OutOfMemoryError:
        _log.warning("the reference does not fit on the GPU: it is computed on the CPU")
        return make_reference(network, tokenizer, preprocess, torch.device("cpu"))
    finally:
        torch.cuda.empty_cache()


def _set_float32_mode(precision: str) -> None:
    """fp32 means fp32 on a GPU too: without this, convolutions quietly run in tf32."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _normalisation(profile: Profile, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift [width * 3] such that (x / 255 - mean) / std = x * scale + shift.

    They cover one row of pixels: arithmetic along a whole row is several times as fast as along
    the three colours of one pixel, and the colours stay where they are.
    """
    mean = torch.tensor(profile.mean, dtype=torch.float64)
    std = torch.tensor(profile.std, dtype=torch.float64)
    width = profile.size[0]
    scale, shift = (1 / (255 * std)).repeat(width), (-mean / std).repeat(width)
    return scale.float().to(device), shift.float().to(device)


def _dimensions(
    network: Network, size: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> int:
    with torch.inference_mode():
        image = torch.zeros(1, 3, *size, device=device, dtype=dtype)
        return int(network.encode_image(image).shape[-1])
