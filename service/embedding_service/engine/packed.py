"""A faster forward on the CPU: the same layers with weights in the layout that oneDNN multiplies.

torch hands fp32 products to MKL, which leaves half of an AMD core's vector unit idle: 120 against
277 GFLOP/s on one Zen 5 core, and on ViT-B/32 78 against 36 ms an image. oneDNN is in torch too,
and takes weights that were laid out once. Which of the two is faster is measured at load, on this
very CPU, and a network whose vectors change is put back.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final, cast

import torch
from torch import nn

_log = logging.getLogger(__name__)

MIN_GAIN: Final = 1.05
"""Packed weights are taken when they multiply at least this much faster: less may be noise."""
MIN_COSINE: Final = 0.99999
"""Both ways compute in the same precision; only the order of additions differs."""
PROBE_ROWS: Final = 400
"""Rows of the product that is timed: eight images of 50 tokens."""

_DTYPES: Final = (torch.float32, torch.bfloat16)
_REPEATS: Final = 5

Vectors = Callable[[nn.Module], torch.Tensor]
"""Computes the probe's vectors [items, dimensions] with a network."""


class PackedLinear(nn.Linear):
    """A linear layer with packed weights, for inference. open_clip asks for the class.

    Shapes: [..., in_features] -> [..., out_features], in the dtype of the weights.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        nn.Module.__init__(self)  # a Linear's own would draw weights
        self.out_features, self.in_features = weight.shape
        # Holds nothing: open_clip asks the first layer's weight for its dtype.
        self.weight = nn.Parameter(torch.empty(0, dtype=weight.dtype), requires_grad=False)
        self._bias = None if bias is None else bias.detach()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), PROBE_ROWS)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the name is nn.Linear's
        """Return input x weight^T + bias."""
        multiply = torch.ops.mkldnn._linear_pointwise
        result = multiply(input, self._packed, self._bias, "none", [], "")
        return cast("torch.Tensor", result)


class PackedSelfAttention(nn.Module):
    """`nn.MultiheadAttention` over one sequence, batch first, without its attention weights."""

    def __init__(self, plain: nn.MultiheadAttention) -> None:
        super().__init__()
        self._into = PackedLinear(plain.in_proj_weight, plain.in_proj_bias)
        self._out = PackedLinear(plain.out_proj.weight, plain.out_proj.bias)
        self._heads = plain.num_heads

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        need_weights: bool,
        attn_mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, None]:
        """Return (float [batch, tokens, width], None). `attn_mask` is added to the logits."""
        if need_weights or key is not query or value is not query:
            raise ValueError("only self-attention without weights was packed")
        batch, tokens, width = query.shape
        parts = self._into(query).view(batch, tokens, 3, self._heads, width // self._heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=attn_mask
        )
        return self._out(mixed.transpose(1, 2).reshape(batch, tokens, width)), None


def pack_where_faster(network: Any, probe: Vectors, load_again: Callable[[], Any]) -> Any:
    """Return `network` with packed layers where that is faster here, else as it is.

    The plain weights are let go one layer at a time, so memory does not double.

    Args:
        network: a network in inference mode on the CPU; it is changed in place.
        probe: computes a few vectors, with which both ways are compared.
        load_again: loads the plain network once more, for the case that the vectors differ.
    """
    linear = _widest(network)
    if linear is None or not _packable(linear.weight):
        return network
    gain = _gain(linear)
    if gain < MIN_GAIN:
        _log.info("linear layers stay as they are", extra={"gain": round(gain, 2)})
        return network
    before = probe(network)
    pack(network)
    if _agree(before, probe, network):
        _log.info("linear layers packed for this CPU", extra={"gain": round(gain, 2)})
        return network
    _log.warning("packed layers give other vectors with this model: it is loaded again without")
    return load_again()


def pack(network: nn.Module) -> None:
    """Replace the linear layers and the self-attention of all blocks, in place."""
    for name, child in list(network.named_children()):
        if type(child) is nn.Linear and _packable(child.weight):
            setattr(network, name, PackedLinear(child.weight, child.bias))
        elif type(child) is nn.MultiheadAttention:
            if _is_self_attention(network, child):
                setattr(network, name, PackedSelfAttention(child))
        else:
            pack(child)


def _is_self_attention(block: nn.Module, attention: nn.MultiheadAttention) -> bool:
    """Say whether a block of open_clip attends to its own sequence only."""
    return (
        hasattr(block, "ln_1")
        and not hasattr(block, "ln_1_kv")
        and attention.batch_first
        and attention.in_proj_weight is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
        and _packable(attention.in_proj_weight)
    )


def _packable(weight: torch.Tensor) -> bool:
    # Not every build of torch has oneDNN.
    return weight.dtype in _DTYPES and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _widest(network: nn.Module) -> nn.Linear | None:
    linears = [module for module in network.modules() if type(module) is nn.Linear]
    return max(linears, key=lambda linear: linear.weight.numel(), default=None)


def _gain(linear: nn.Linear) -> float:
    """Return how much faster the packed layer is, with the threads that this thread may use."""
    rows = torch.zeros(PROBE_ROWS, linear.in_features, dtype=linear.weight.dtype)
    packed = PackedLinear(linear.weight, linear.bias)
    return _seconds(linear, rows) / _seconds(packed, rows)


def _seconds(layer: nn.Module, rows: torch.Tensor) -> float:
    times = []
    with torch.inference_mode():
        for _ in range(_REPEATS):
            started = time.perf_counter()
            layer(rows)
            times.append(time.perf_counter() - started)
    return min(times)


def _agree(before: torch.Tensor, probe: Vectors, network: nn.Module) -> bool:
    """Compare directions; a layer that reads what a packed one no longer has raises."""
    try:
        after = probe(network)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        _log.warning("the model does not run with packed layers: %s", error)
        return False
    cosines = nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
    return bool((cosines >= MIN_COSINE).all())
