"""The number format of the forward pass: what `auto` takes, and how weights are lowered to it.

On a GPU auto is bf16 (fp16 where there is none). On a CPU it is bf16 weights where three things
hold: the CPU has the instructions (by emulation bf16 is slower), a measurement on the loaded model
says that it is faster, and the vectors stay within parity. Otherwise fp32. Never autocast: it
converts at every operation what is converted here once.
"""

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from open_clip.model import convert_weights_to_lp
from open_clip.timm_model import TimmModel
from open_clip.transformer import LayerNorm, LayerNormFp32

from embedding_service.engine.parity import COSINE_LEAST, Reference
from embedding_service.engine.resampling import torch_resample
from embedding_service.imaging.prepare import prepare

if TYPE_CHECKING:
    from embedding_service.engine.encoder import Encoder, Network

DTYPES: Final = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
FASTER: Final = 1.05
"""A change of format must pay at least this factor: a measurement of some runs is not exact."""

AUTO_COSINE_LEAST: Final = COSINE_LEAST + 0.2 * (1 - COSINE_LEAST)
"""auto wants a little more than the self-test: batches of another size round another way."""

TIMED_SECONDS: Final = 0.3
"""One timed forward pass is as large as takes about this long, maxBatch images at most."""

_TIMED_ROUNDS: Final = 2
"""After one round that warms up."""

_BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""x86's two, and arm's word for its own."""

Make = Callable[["Network", str], "Encoder"]
"""Lower a network to a precision, put it on the device and make an encoder of it."""


def native_bf16(cpuinfo: str) -> bool:
    """Say whether the text of /proc/cpuinfo names bf16 instructions."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return not _BF16_FLAGS.isdisjoint(value.split())
    return False


def cpuinfo() -> str:
    """Return the text of /proc/cpuinfo, empty where there is none."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def choose(
    network: "Network",
    make: Make,
    device: torch.device,
    *,
    reference: Reference | None,
    max_batch: int,
    cpu_text: Callable[[], str] = cpuinfo,
) -> tuple["Encoder", str]:
    """Return the encoder of precision auto, and why it is that one.

    `network` is in fp32 on the CPU and is used up.
    """
    if device.type == "cpu":
        return _choose_on_cpu(network, make, reference, max_batch, cpu_text())
    best = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if reference is None:
        return make(network, best), f"{best} is this GPU's fast format; parity is not checked"
    found = make(copy.deepcopy(network), best)
    cosine = worst_cosine(found, reference)
    if cosine >= AUTO_COSINE_LEAST:
        return found, f"{best} is this GPU's fast format; cosine with fp32 {cosine:.5f}"
    return make(network, "fp32"), _too_coarse(best, cosine)


def _choose_on_cpu(
    network: "Network", make: Make, reference: Reference | None, max_batch: int, cpu: str
) -> tuple["Encoder", str]:
    if not native_bf16(cpu):
        return make(network, "fp32"), "this CPU has no bf16 instructions"
    if reference is None:
        return make(network, "fp32"), "without the parity check bf16 is not taken"
    lower, plain = make(copy.deepcopy(network), "bf16"), make(network, "fp32")
    cosine = worst_cosine(lower, reference)
    if cosine < AUTO_COSINE_LEAST:
        return plain, _too_coarse("bf16", cosine)
    batch = _timed_batch(plain, max_batch)
    fast, slow = _best_seconds((lower, plain), batch)
    gain = slow / fast
    measured = f"bf16 runs {gain:.2f} x as fast as fp32 at {batch} images"
    if gain < FASTER:
        return plain, f"{measured}: not faster"
    return lower, f"{measured}; cosine with fp32 {cosine:.5f}"


def _too_coarse(precision: str, cosine: float) -> str:
    return f"{precision} gives cosine {cosine:.5f} with fp32, {AUTO_COSINE_LEAST:.4f} is needed"


def worst_cosine(encoder: "Encoder", reference: Reference) -> float:
    """Return the worst cosine of the encoder's vectors with the reference's, images and texts."""
    pixels = [prepare(image, encoder.profile, 2**31, torch_resample) for image in reference.images]
    with torch.inference_mode():
        images = encoder.encode_pixels(torch.from_numpy(np.stack(pixels)).to(encoder.device))
        texts = encoder.encode_texts(reference.texts)
    found = np.concatenate([images.cpu().numpy(), texts.cpu().numpy()])
    wanted = np.concatenate([reference.vectors, reference.text_vectors])
    return float(np.nan_to_num((found * wanted).sum(axis=1), nan=-1.0).min())


def _timed_batch(encoder: "Encoder", max_batch: int) -> int:
    (seconds,) = _best_seconds((encoder,), 1)
    return max(1, min(max_batch, int(TIMED_SECONDS / seconds)))


def _best_seconds(encoders: Sequence["Encoder"], batch: int) -> list[float]:
    """Return the best forward pass of each in seconds; in turn, so that noise hits all alike."""
    height, width = encoders[0].info.image_size
    pixels = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    with torch.inference_mode():
        rounds = [[_seconds(one, pixels) for one in encoders] for _ in range(1 + _TIMED_ROUNDS)]
    return [min(times) for times in zip(*rounds[1:], strict=True)]


def _seconds(encoder: "Encoder", pixels: torch.Tensor) -> float:
    started = time.perf_counter()
    encoder.encode_pixels(pixels)
    return time.perf_counter() - started


def lowered(network: Any, precision: str) -> Any:
    """Convert the weights of an fp32 network in place, exactly as open_clip loads them so.

    Norms stay in fp32 and compute in it. The network is returned.
    """
    if DTYPES[precision] == torch.float32:
        return network
    dtype = DTYPES[precision]
    norms = [module for module in network.modules() if type(module) is LayerNorm]
    for norm in norms:  # the two differ in forward() alone; open_clip chooses at construction
        norm.__class__ = LayerNormFp32
    if not isinstance(network.visual, TimmModel):
        convert_weights_to_lp(network, dtype)
        return network
    network.to(dtype=dtype)
    for norm in norms:
        norm.float()
    return network
