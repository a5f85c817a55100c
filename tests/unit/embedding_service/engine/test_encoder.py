"""Models load, or say what to do; vectors of real photographs are open_clip's own."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from huggingface_hub import constants
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from embedding_contract.endpoints import TINY_MODEL
from embedding_service.engine.encoder import Encoder, load_encoder, load_network
from embedding_service.engine.resampling import torch_resample
from embedding_service.errors import ModelUnavailable
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import origin_profile


def refusal(model: str, pretrained: str) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        load_network(model, pretrained)
    assert "\n" not in caught.value.message
    return caught.value.message


def tiny(precision: str = "fp32", preprocess: str = "model") -> Encoder:
    return load_encoder(
        TINY_MODEL, "random:0", precision=precision, device="cpu", preprocess=preprocess
    )


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny()


def vectors(encoder: Encoder, images: list[bytes]) -> npt.NDArray[np.float32]:
    pixels = [prepare(image, encoder.profile, 10**8, torch_resample) for image in images]
    with torch.inference_mode():
        found = encoder.encode_pixels(torch.from_numpy(np.stack(pixels)))
    answer: npt.NDArray[np.float32] = found.numpy()
    return answer


def open_clips_own(model: Any, images: list[bytes]) -> npt.NDArray[np.float32]:
    """What a user of open_clip gets: its transform, its model, its normalisation."""
    transform: Any = image_transform_v2(
        PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
    )
    pictures = torch.stack([transform(Image.open(io.BytesIO(image))) for image in images])
    with torch.inference_mode():
        found = model.encode_image(pictures, normalize=True)
    answer: npt.NDArray[np.float32] = found.numpy()
    return answer


@pytest.mark.parametrize("model", [TINY_MODEL, "ViT-B-32"])
def test_vectors_of_photographs_are_open_clips_own(
    model: str, photographs: dict[str, bytes]
) -> None:
    images = list(photographs.values())[: 5 if model == TINY_MODEL else 2]
    encoder = load_encoder(model, "random:3", precision="fp32", device="cpu")
    found = vectors(encoder, images)
    cosines = (found * open_clips_own(encoder.network, images)).sum(axis=1)
    assert cosines.min() >= 0.999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_figures_of_the_model_are_told(encoder: Encoder) -> None:
    info = encoder.info
    assert (info.dimensions, info.image_size, info.context_length) == (128, (224, 224), 77)
    assert (info.precision, info.device, info.meaningful) == ("fp32", "cpu", False)


def test_a_seed_gives_the_same_weights_each_time_and_another_seed_others(
    photographs: dict[str, bytes], encoder: Encoder
) -> None:
    state = torch.random.get_rng_state()
    images = [photographs["china.jpg"]]
    again = tiny()
    assert np.array_equal(vectors(again, images), vectors(encoder, images))
    assert torch.equal(torch.random.get_rng_state(), state)
    other = load_encoder(TINY_MODEL, "random:1", device="cpu")
    assert not np.allclose(vectors(other, images), vectors(encoder, images), atol=1e-3)


def test_different_photographs_get_different_vectors(
    photographs: dict[str, bytes], encoder: Encoder
) -> None:
    found = vectors(encoder, list(photographs.values()))
    cosines = found @ found.T - np.eye(len(found))
    assert cosines.max() < 0.999


def test_bf16_weights_stay_close_to_fp32(photographs: dict[str, bytes], encoder: Encoder) -> None:
    images = list(photographs.values())
    cosines = (vectors(tiny("bf16"), images) * vectors(encoder, images)).sum(axis=1)
    assert cosines.min() > 0.99


def test_auto_means_fp32_on_a_cpu() -> None:
    assert tiny("auto").info.precision == "fp32"


def test_the_origins_preprocessing_can_be_asked_for(encoder: Encoder) -> None:
    assert tiny(preprocess="origin").profile == origin_profile(encoder.profile)


def test_texts_get_unit_vectors(encoder: Encoder) -> None:
    with torch.inference_mode():
        found = encoder.encode_texts(["a photograph of a flower", "x" * 2000]).numpy()
    assert found.shape == (2, 128)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_checkpoint_on_disk_is_loaded(tmp_path: Path, photographs: dict[str, bytes]) -> None:
    network: Any = load_network(TINY_MODEL, "random:7")
    path = tmp_path / "tiny.pt"
    torch.save(network.state_dict(), path)
    encoder = load_encoder(TINY_MODEL, str(path), device="cpu")
    assert encoder.info.meaningful
    images = [photographs["china.jpg"]]
    assert np.allclose(vectors(encoder, images), open_clips_own(network, images), atol=1e-3)


def test_an_unknown_model_is_answered_with_near_names() -> None:
    message = refusal("ViT-B-33", "openai")
    assert "'ViT-B-33' is not known" in message
    assert "ViT-B-32" in message


def test_a_model_like_nothing_else_is_pointed_to_the_tiny_one() -> None:
    assert TINY_MODEL in refusal("qqqqqqqqqqqq", "openai")


def test_an_unknown_tag_is_answered_with_the_known_ones() -> None:
    message = refusal("ViT-B-32", "laion3b")
    assert "'laion3b' is not a known tag" in message
    assert "laion2b_s34b_b79k" in message


def test_the_tiny_model_says_that_it_has_no_weights() -> None:
    message = refusal(TINY_MODEL, "openai")
    assert "open_clip has no weights for it" in message
    assert "random:0" in message


def test_a_path_that_is_not_there_is_named() -> None:
    assert "'/models/none.pt' does not exist" in refusal(TINY_MODEL, "/models/none.pt")


def test_a_checkpoint_of_another_architecture_is_told(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"some.weight": torch.zeros(2)}, path)
    assert "is it a checkpoint of this very architecture" in refusal(TINY_MODEL, str(path))


def test_a_file_that_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.pt"
    path.write_text("hello")
    assert "could not be loaded" in refusal(TINY_MODEL, str(path))


@pytest.mark.parametrize("pretrained", ["random:", "random:x", "random:-1", f"random:{2**64}"])
def test_a_seed_must_be_a_number(pretrained: str) -> None:
    assert "does not name a seed" in refusal(TINY_MODEL, pretrained)


def test_weights_that_cannot_be_fetched_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal("ViT-B-32", "laion2b_s34b_b79k")
    assert "could not be fetched" in message
    assert "mount a checkpoint" in message


def test_a_gpu_that_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelUnavailable, match="no usable GPU"):
        load_encoder(TINY_MODEL, "random:0", device="cuda")
