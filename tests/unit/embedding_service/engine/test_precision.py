"""Precision auto on a CPU: bf16 with instructions, a gain and parity. Lowering as open_clip's."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from embedding_contract.endpoints import TINY_MODEL
from embedding_service.engine import encoder as encoder_module
from embedding_service.engine import precision
from embedding_service.engine.encoder import Encoder, load_encoder, load_network
from embedding_service.engine.precision import lowered, native_bf16

ZEN4 = "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 avx512_vbmi2\n"
SKYLAKE = "processor\t: 0\nflags\t\t: fpu avx512f avx512vl\n"


@pytest.mark.parametrize(
    ("text", "native"),
    [
        (ZEN4, True),
        (SKYLAKE, False),
        ("flags : amx_bf16 amx_tile", True),
        ("Features\t: fp asimd i8mm bf16", True),
        ("model name : bf16 avx512_bf16\nflags : sse", False),
        ("", False),
    ],
)
def test_bf16_instructions_are_read_from_the_kernels_list(text: str, native: bool) -> None:
    assert native_bf16(text) is native


def auto(
    monkeypatch: pytest.MonkeyPatch,
    *,
    gain: float = 2.0,
    cosine: float | None = None,
    cpu: str = ZEN4,
    parity_check: bool = True,
) -> Encoder:
    """Load with precision auto on a CPU like this, where bf16 runs `gain` times as fast."""

    def choose(*arguments: Any, **more: Any) -> Any:
        return precision.choose(*arguments, **more, cpu_text=lambda: cpu)

    def best(encoders: Any, batch: int) -> list[float]:
        speed = {"fp32": 1.0, "bf16": gain}
        return [0.01 * batch / speed[one.info.precision] for one in encoders]

    monkeypatch.setattr(encoder_module, "choose", choose)
    monkeypatch.setattr(precision, "_best_seconds", best)
    if cosine is not None:
        monkeypatch.setattr(precision, "worst_cosine", lambda encoder, reference: cosine)
    return load_encoder(TINY_MODEL, "random:0", device="cpu", parity_check=parity_check)


def test_bf16_is_taken_where_all_three_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    found = auto(monkeypatch)
    assert found.info.precision == "bf16"
    assert "2.00 x as fast as fp32 at 30 images; cosine" in found.info.precision_reason
    assert found.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cpu": SKYLAKE}, "this CPU has no bf16 instructions"),
        ({"parity_check": False}, "without the parity check bf16 is not taken"),
        ({"gain": 1.04}, "not faster"),
        ({"gain": 0.5}, "0.50 x as fast"),
        ({"cosine": 0.99905}, "bf16 gives cosine 0.99905 with fp32, 0.9992 is needed"),
        ({"cosine": -1.0}, "bf16 gives cosine -1.00000"),
    ],
)
def test_else_fp32_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str
) -> None:
    found = auto(monkeypatch, **changes)
    assert found.info.precision == "fp32"
    assert reason in found.info.precision_reason
    assert found.dtype == torch.float32
    weights: Any = found.network
    assert {one.dtype for one in weights.parameters()} == {torch.float32}


def test_the_timed_batch_is_bounded_by_time_and_by_the_setting() -> None:
    tiny = load_encoder(TINY_MODEL, "random:0", device="cpu", precision="fp32")
    assert 1 <= precision._timed_batch(tiny, 4) <= 4
    assert precision._timed_batch(tiny, 1) == 1


@pytest.fixture(scope="session")
def timm_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model whose image tower is timm's: open_clip lowers these another way."""
    folder = tmp_path_factory.mktemp("models")
    vision = {"image_size": 64, "timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token"}
    text = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text, "custom_text": True}
    (folder / "small-timm.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    return "small-timm"


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
@pytest.mark.parametrize("tower", ["open_clip", "timm"])
def test_lowered_weights_are_open_clips_own(tower: str, kind: str, timm_model: str) -> None:
    model = timm_model if tower == "timm" else TINY_MODEL
    theirs: Any = load_network(model, "random:3", kind)
    ours: Any = lowered(load_network(model, "random:3"), kind)
    wanted, found = theirs.state_dict(), ours.state_dict()
    assert {name: one.dtype for name, one in found.items()} == {
        name: one.dtype for name, one in wanted.items()
    }
    assert all(torch.equal(found[name], one) for name, one in wanted.items())
    assert [type(one) for one in ours.modules()] == [type(one) for one in theirs.modules()]


def test_fp32_is_left_alone() -> None:
    network: Any = load_network(TINY_MODEL, "random:0")
    assert lowered(network, "tf32") is network
    assert {one.dtype for one in network.parameters()} == {torch.float32}


def test_a_machine_without_proc_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, *arguments: Any, **more: Any) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    assert precision.cpuinfo() == ""
