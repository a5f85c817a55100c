"""The whole real path on a CPU: bytes of photographs in, open_clip's own vectors out."""

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from prometheus_client import CollectorRegistry

from embedding_contract.tuning import Setting
from embedding_service.engine.encoder import load_network
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    settings = ServerSettings(model="sluice-tiny", pretrained="random:0", device="cpu", max_batch=8)
    made = build_pipeline(settings, Instruments(CollectorRegistry()))
    yield made
    asyncio.run(made.close())


def test_vectors_are_open_clips_own_with_any_number_of_lanes(
    pipeline: Pipeline, photographs: dict[str, bytes]
) -> None:
    network: Any = load_network("sluice-tiny", "random:0")
    transform: Any = image_transform_v2(
        PreprocessCfg(**network.visual.preprocess_cfg), is_train=False
    )
    pictures = [transform(Image.open(io.BytesIO(data))) for data in photographs.values()]
    with torch.inference_mode():
        wanted = network.encode_image(torch.stack(pictures), normalize=True).numpy()
    for streams in (1, 3, 2):
        pipeline.retune(Setting(streams, 4))
        found = asyncio.run(pipeline.embed_images(list(photographs.values()) * 3))
        cosines = [float(a @ b) for a, b in zip(found, [*wanted] * 3, strict=True)]
        assert min(cosines) >= 0.999
        assert pipeline.setting == Setting(streams, 4, pipeline.setting.decode_workers, "cpu")


def test_texts_come_back_as_unit_vectors(pipeline: Pipeline) -> None:
    found = asyncio.run(pipeline.embed_texts(["a temple", "a flower", "a temple"]))
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found[0], found[2], atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-3)


def test_it_is_alive_and_knows_its_model(pipeline: Pipeline) -> None:
    assert pipeline.alive(0.0) is None
    assert pipeline.model.name == "sluice-tiny"
    assert not pipeline.model.meaningful
