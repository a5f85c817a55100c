"""The same pipeline on a real GPU: right vectors, graphs, live lanes, the GPU's own metrics."""

import asyncio
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import skimage
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from prometheus_client import CollectorRegistry, generate_latest

from embedding_contract import metrics
from embedding_contract.tuning import Setting
from embedding_service.engine.cuda_lane import CudaLane
from embedding_service.engine.encoder import load_network
from embedding_service.engine.lane import Lane
from embedding_service.engine.parts import Parts
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.engine.torch_parts import torch_parts
from embedding_service.metrics import Instruments
from embedding_service.settings import Precision, ServerSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(),
        reason="no NVIDIA GPU: CUDA lanes, graphs and GPU metrics were not run",
    ),
]

PHOTOGRAPHS = [
    path.read_bytes()
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
    for path in [Path(skimage.__file__).parent / "data" / name]
]
MODEL, WEIGHTS = "ViT-B-32", "random:0"


MADE: list[Lane] = []
"""Every lane that a pipeline of this module made."""


def recorded_parts(settings: ServerSettings) -> Parts:
    """The real parts; each lane that is made is noted."""
    parts = torch_parts(settings)

    def make_lane() -> Lane:
        MADE.append(parts.make_lane())
        return MADE[-1]

    return replace(parts, make_lane=make_lane)


def start(precision: Precision, **changes: Any) -> tuple[Pipeline, CollectorRegistry]:
    registry = CollectorRegistry()
    settings = ServerSettings(
        model=MODEL, pretrained=WEIGHTS, device="cuda", precision=precision, **changes
    )
    return build_pipeline(settings, Instruments(registry), recorded_parts), registry


@pytest.fixture(scope="module")
def reference() -> npt.NDArray[np.float32]:
    """Vectors [images, 512] by open_clip itself, fp32, its own transform, on the GPU."""
    network: Any = load_network(MODEL, WEIGHTS).to(torch.device("cuda"))
    config = PreprocessCfg(**network.visual.preprocess_cfg)
    transform: Any = image_transform_v2(config, is_train=False)
    pictures = [Image.open(io.BytesIO(data)) for data in PHOTOGRAPHS]
    batch = torch.stack([transform(picture) for picture in pictures]).to("cuda")
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(network.encode_image(batch), dim=-1)
    answer: npt.NDArray[np.float32] = vectors.cpu().numpy()
    return answer


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Pipeline, CollectorRegistry]]:
    pipeline, registry = start("fp32")
    yield pipeline, registry
    asyncio.run(pipeline.close())


def test_vectors_are_open_clips_own(
    running: tuple[Pipeline, CollectorRegistry], reference: npt.NDArray[np.float32]
) -> None:
    vectors = asyncio.run(running[0].embed_images(PHOTOGRAPHS))
    cosines = [float(np.dot(a, b)) for a, b in zip(vectors, reference, strict=True)]  # type: ignore[arg-type]
    assert min(cosines) >= 0.999


def test_bf16_stays_close_to_fp32(reference: npt.NDArray[np.float32]) -> None:
    pipeline, _ = start("bf16")
    vectors = asyncio.run(pipeline.embed_images(PHOTOGRAPHS))
    asyncio.run(pipeline.close())
    cosines = [float(np.dot(a, b)) for a, b in zip(vectors, reference, strict=True)]  # type: ignore[arg-type]
    assert min(cosines) >= 0.995


def test_auto_is_bf16_in_parity_and_leaves_no_fp32_behind() -> None:
    before = torch.cuda.memory_allocated()
    pipeline, registry = start("auto")
    asyncio.run(pipeline.close())
    found = pipeline.model.parity
    assert found is not None
    assert pipeline.model.precision == "bf16", pipeline.model.precision_reason
    assert found.cosine_min >= 0.999
    assert registry.get_sample_value("embedding_parity_cosine_min") == found.cosine_min
    made: Any = MADE[-1]
    weights = made._encoder.network
    held = sum(one.numel() * one.element_size() for one in weights.parameters())
    assert torch.cuda.memory_allocated() - before < 2 * held


def test_every_batch_runs_as_a_graph(running: tuple[Pipeline, CollectorRegistry]) -> None:
    asyncio.run(running[0].embed_images(PHOTOGRAPHS * 10))
    assert MADE
    assert {lane.eager_batches for lane in MADE if isinstance(lane, CudaLane)} == {0}


def test_lanes_come_and_go_under_load(running: tuple[Pipeline, CollectorRegistry]) -> None:
    pipeline, _ = running

    async def load() -> list[npt.NDArray[np.float32]]:
        async def client() -> list[Any]:
            answers: list[Any] = []
            for _ in range(20):
                answers += await pipeline.embed_images(PHOTOGRAPHS)
            return answers

        clients = [asyncio.create_task(client()) for _ in range(6)]
        for streams in (4, 2, 3, 1):
            await asyncio.to_thread(pipeline.retune, Setting(streams, 8))
            assert pipeline.setting.num_streams == streams
        found = await asyncio.gather(*clients)
        return [answer for answers in found for answer in answers]

    answers = asyncio.run(load())
    assert len(answers) == 6 * 20 * len(PHOTOGRAPHS)
    expected = answers[: len(PHOTOGRAPHS)]
    for index, answer in enumerate(answers):
        assert np.dot(answer, expected[index % len(PHOTOGRAPHS)]) >= 0.9999


def test_the_gpu_shows_in_a_scrape(running: tuple[Pipeline, CollectorRegistry]) -> None:
    text = generate_latest(running[1]).decode()
    for metric in (*metrics.GPU_ONLY, metrics.WARMUP_LANE_BYTES, metrics.GPU_BUSY):
        assert f"\n{metric.name}" in text
    assert 'device="cuda"' in text
