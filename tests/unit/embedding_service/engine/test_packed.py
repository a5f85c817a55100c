"""Packed layers compute what the plain ones compute, or the plain ones stay."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embedding_service.engine import packed
from embedding_service.engine.encoder import load_encoder, load_network
from embedding_service.engine.packed import PackedLinear, pack, pack_where_faster

Gain = Callable[[nn.Linear], float]


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """State what the measurement finds, so that the machine does not decide the test."""

    def state(value: float) -> None:
        monkeypatch.setattr(packed, "_gain", lambda linear: value)

    return state


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def probe(network: Any) -> torch.Tensor:
    with torch.inference_mode():
        vectors: torch.Tensor = network.encode_image(images())
    return vectors


def packed_layers(network: Any) -> int:
    return sum(isinstance(module, PackedLinear) for module in network.modules())


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 33), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans())
def test_a_packed_layer_multiplies_like_the_plain_one(
    rows: int, inputs: int, outputs: int, bias: bool, half: bool
) -> None:
    dtype = torch.bfloat16 if half else torch.float32
    plain = nn.Linear(inputs, outputs, bias=bias).to(dtype)
    given_rows = torch.randn(2, rows, inputs).to(dtype)
    with torch.inference_mode():
        expected = plain(given_rows).float()
        found = PackedLinear(plain.weight, plain.bias)(given_rows).float()
    assert found.shape == (2, rows, outputs)
    torch.testing.assert_close(
        found, expected, rtol=2e-2 if half else 1e-4, atol=6e-2 if half else 1e-4
    )


def test_a_packed_network_gives_the_same_images_and_texts() -> None:
    network: Any = load_network("sluice-tiny", "random:0")
    tokens = torch.tensor([[49406, 320, 1125, 49407] + [0] * 73])
    with torch.inference_mode():
        expected = network.encode_image(images()), network.encode_text(tokens)
        pack(network)
        found = network.encode_image(images()), network.encode_text(tokens)
    assert packed_layers(network) > 20
    for before, after in zip(expected, found, strict=True):
        assert torch.nn.functional.cosine_similarity(before, after).min() > 0.999999


def test_layers_are_packed_only_where_that_is_faster(gain: Callable[[float], None]) -> None:
    network: Any = load_network("sluice-tiny", "random:0")
    gain(1.02)
    assert packed_layers(pack_where_faster(network, probe, lambda: pytest.fail("loaded"))) == 0
    gain(2.0)
    assert packed_layers(pack_where_faster(network, probe, lambda: pytest.fail("loaded"))) > 20


@pytest.mark.parametrize("fault", ["raises", "other vectors"])
def test_a_network_that_changes_is_loaded_again(
    gain: Callable[[float], None], fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    def changed(network: Any) -> torch.Tensor:
        if packed_layers(network) and fault == "raises":
            raise TypeError("unsupported operand")
        sign = -1.0 if packed_layers(network) else 1.0
        return probe(network) * sign

    gain(2.0)
    again = load_network("sluice-tiny", "random:0")
    network = pack_where_faster(load_network("sluice-tiny", "random:0"), changed, lambda: again)
    assert network is again
    assert "loaded again" in caplog.text


def test_an_architecture_that_reads_its_weights_still_loads(gain: Callable[[float], None]) -> None:
    # Its attention pool hands the weights of its linear layers to a function of torch.
    gain(2.0)
    encoder = load_encoder("RN50", "random:0", device="cpu")
    assert packed_layers(encoder.network) == 0
    assert encoder.info.dimensions == 1024


def test_a_precision_without_packed_weights_stays_plain(gain: Callable[[float], None]) -> None:
    gain(2.0)
    network: Any = load_network("sluice-tiny", "random:0").to(torch.device("cpu"))
    network.half()
    assert packed_layers(pack_where_faster(network, probe, lambda: pytest.fail("loaded"))) == 0
