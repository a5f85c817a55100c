"""The self-test: what it measures, when it refuses, and that it sees a real path that left."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from embedding_service.engine.parity import (
    COSINE_LEAST,
    PIXELS_ALLOWED,
    Parity,
    Reference,
    compare,
    miss,
)
from embedding_service.engine.parts import Parts
from embedding_service.engine.pipeline import Pipeline
from embedding_service.engine.torch_parts import torch_parts
from embedding_service.errors import ParityMissed
from embedding_service.imaging.golden import golden_images
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.probe import probe
from embedding_service.metrics import Instruments
from embedding_service.settings import ServerSettings
from embedding_service.web.lifecycle import Lifecycle

# Figures


def reference(images: int = 2, dimensions: int = 4) -> Reference:
    vectors = np.eye(images, dimensions, dtype=np.float32)
    names = tuple(f"image {index}" for index in range(images))
    pixels = np.full((images, 3, 3, 3), 100, np.uint8)
    return Reference(names, (b"",) * images, pixels, vectors, ("a text",), vectors[:1])


def compared(
    pixels: npt.NDArray[Any] | None = None,
    vectors: npt.NDArray[Any] | None = None,
    texts: npt.NDArray[Any] | None = None,
) -> Parity:
    wanted = reference()
    return compare(
        wanted,
        wanted.pixels if pixels is None else pixels,
        wanted.vectors if vectors is None else vectors,
        wanted.text_vectors if texts is None else texts,
    )


def test_the_same_is_in_parity() -> None:
    found = compared()
    assert (found.cosine_min, found.pixel_difference_max) == (1.0, 0.0)
    assert miss(found, "fp32", "model") is None


def test_the_worst_image_is_named() -> None:
    pixels = reference().pixels.copy()
    pixels[1] -= 50  # an unsigned difference would wrap around
    found = compared(pixels)
    assert (found.pixel_difference_max, found.pixel_difference_of) == (50.0, "image 1")
    message = miss(found, "fp32", "model")
    assert message is not None
    assert "50.000 of 255 (image 1; 1.5 is allowed)" in message
    assert "Preprocess model makes other pixels" in message
    assert "EMBEDDING_PARITY_CHECK=off" in message


def test_a_coarse_number_format_is_told_to_change() -> None:
    vectors = reference().vectors.copy()
    vectors[0] = [0.9, 0.43588989, 0, 0]
    message = miss(compared(vectors=vectors), "bf16", "model")
    assert message is not None
    assert "worst cosine 0.90000 (image 0; 0.999 is needed)" in message
    assert "precision bf16 is too coarse: use fp32" in message
    fp32 = miss(compared(vectors=vectors), "fp32", "model")
    assert fp32 is not None
    assert "the forward pass does not" in fp32


def test_texts_count_and_nan_is_the_worst() -> None:
    assert compared(texts=np.full((1, 4), np.nan, np.float32)).cosine_min == -1.0
    assert compared(texts=np.full((1, 4), np.nan, np.float32)).cosine_of == "text 'a text'"


@hypothesis.settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 255))
def test_it_refuses_exactly_outside_the_bounds(cosine: float, difference: float) -> None:
    message = miss(Parity(cosine, "a", difference, "b"), "fp32", "model")
    assert (message is None) == (cosine >= COSINE_LEAST and difference <= PIXELS_ALLOWED)
    assert message is None or "\n" not in message


# Golden images


def test_the_golden_images_are_the_same_each_time() -> None:
    assert golden_images() == golden_images()


def test_they_are_of_the_kinds_that_go_wrong() -> None:
    headers = {name: probe(data, 10**7) for name, data in golden_images().items()}
    ratios = [header.width / header.height for header in headers.values()]
    assert min(ratios) < 0.5
    assert max(ratios) > 1.5
    assert {header.format for header in headers.values()} == {"JPEG", "PNG"}
    assert 6 in {header.orientation for header in headers.values()}
    assert 1 in {header.components for header in headers.values()} or "grey.png" in headers
    assert sum(header.width * header.height for header in headers.values()) < 3_000_000


# The real path


def settings(**changes: Any) -> ServerSettings:
    fields: dict[str, Any] = {
        "model": "sluice-tiny", "pretrained": "random:0", "device": "cpu", "max_batch": 4,
        "precision": "fp32",
    }  # fmt: skip
    return ServerSettings(**(fields | changes))


def start(
    registry: CollectorRegistry, change: Callable[[Parts], Parts] = lambda parts: parts, **more: Any
) -> Pipeline:
    wanted = settings(**more)
    return Pipeline(change(torch_parts(wanted)), wanted, Instruments(registry))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    ours = ("lane-", "decode-", "texts")
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert [thread.name for thread in left if thread.name.startswith(ours)] == []


@pytest.mark.parametrize(
    ("precision", "preprocess"), [("fp32", "model"), ("bf16", "model"), ("fp32", "origin")]
)
def test_the_real_path_is_in_parity_and_shows_it(
    registry: CollectorRegistry, precision: str, preprocess: str
) -> None:
    pipeline = start(registry, precision=precision, preprocess=preprocess)
    asyncio.run(pipeline.close())
    found = pipeline.model.parity
    assert found is not None
    assert found.cosine_min >= COSINE_LEAST
    assert found.pixel_difference_max <= (PIXELS_ALLOWED if preprocess == "model" else 0.5)
    value = registry.get_sample_value
    assert value("embedding_parity_cosine_min") == found.cosine_min
    assert value("embedding_parity_pixel_difference_max") == found.pixel_difference_max
    assert value("embedding_batches_total") == 0, "the self-test is no work of a client"


def squashed(parts: Parts) -> Parts:
    return replace(parts, profile=replace(parts.profile, resize_mode="squash"))


def test_a_squash_instead_of_a_crop_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(ParityMissed, match=r"worst pixel difference \d+\.\d+ of 255") as caught:
        start(registry, squashed)
    assert "makes other pixels than its reference" in caught.value.message
    shown = registry.get_sample_value("embedding_parity_pixel_difference_max")
    assert shown is not None
    assert shown > PIXELS_ALLOWED


def test_a_forward_pass_that_left_is_refused(registry: CollectorRegistry) -> None:
    def broken(parts: Parts) -> Parts:
        assert parts.reference is not None
        turned = np.roll(parts.reference.vectors, 1, axis=1)
        return replace(parts, reference=replace(parts.reference, vectors=turned))

    with pytest.raises(ParityMissed, match="The pixels agree, the forward pass does not"):
        start(registry, broken)


def test_texts_that_left_are_refused(registry: CollectorRegistry) -> None:
    def broken(parts: Parts) -> Parts:
        encode = parts.encode_texts
        return replace(parts, encode_texts=lambda texts: encode(texts)[::-1])

    with pytest.raises(ParityMissed, match="text 'a photograph of a temple'"):
        start(registry, broken)


def test_it_can_be_turned_off(registry: CollectorRegistry) -> None:
    pipeline = start(registry, squashed, parity_check="off")
    asyncio.run(pipeline.close())
    assert pipeline.model.parity is None
    assert registry.get_sample_value("embedding_parity_cosine_min") is None


def test_a_miss_ends_the_start_with_the_message() -> None:
    def build(wanted: ServerSettings, instruments: Instruments) -> Pipeline:
        return Pipeline(squashed(torch_parts(wanted)), wanted, instruments)

    async def run() -> None:
        await Lifecycle(settings(host="127.0.0.1", port=0), build).run()

    with pytest.raises(ParityMissed, match="EMBEDDING_PARITY_CHECK=off"):
        asyncio.run(run())


def test_the_reference_is_what_users_of_open_clip_get() -> None:
    parts = torch_parts(settings())
    assert parts.reference is not None
    pixels = [prepare(image, parts.profile, 10**8) for image in parts.reference.images]
    for ours, theirs in zip(pixels, parts.reference.pixels, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 0.5
    assert torch.get_num_threads() >= 1
    assert np.allclose(np.linalg.norm(parts.reference.vectors, axis=1), 1, atol=1e-5)
