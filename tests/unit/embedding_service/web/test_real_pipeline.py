"""The whole server: real engine, small model with random weights, real photographs."""

import asyncio
import base64
import io
import struct
import zlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from embedding_contract.tuning import Setting
from embedding_service.engine.pipeline import Pipeline, build_pipeline
from embedding_service.metrics import Instruments
from embedding_service.web.serving import Serving
from fakes.pipeline import FakePipeline
from fakes.web import FixedReporter, Web, error_of, settings_with
from load.photographs import Photograph, photographs

PHOTOGRAPHS = photographs(2)


@pytest.fixture(scope="module")
def pipeline_and_web() -> Iterator[tuple[Pipeline, Web]]:
    settings = settings_with(
        model="sluice-tiny", pretrained="random:0", device="cpu", max_batch=4,
        max_request_bytes=2_000_000,
    )  # fmt: skip
    instruments = Instruments(CollectorRegistry())
    pipeline = build_pipeline(settings, instruments)
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    yield pipeline, Web(settings, serving, FakePipeline(settings), instruments)
    asyncio.run(pipeline.close())


@pytest.fixture
def web(pipeline_and_web: tuple[Pipeline, Web]) -> Web:
    return pipeline_and_web[1]


def upload(web: Web, *files: tuple[str, bytes], **headers: str) -> httpx.Response:
    return web.ask("POST", "/embed", files=[("files", file) for file in files], headers=headers)


def header_of_png(width: int, height: int) -> bytes:
    """Return a PNG that says it is large and holds nothing."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", size), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        chunks += struct.pack(">I", len(data)) + kind + data + checksum
    return chunks


def test_each_bad_image_fails_alone_with_words_to_act_on(web: Web) -> None:
    photograph = PHOTOGRAPHS[0]
    answer = upload(
        web,
        ("empty.jpg", b""),
        ("text.jpg", b"this is a letter, not a photograph\n" * 9),
        ("huge.png", header_of_png(30_000, 30_000)),
        ("cut.jpg", photograph.data[:300]),
        (photograph.name, photograph.data),
    )
    assert answer.status_code == 200
    document = answer.json()
    assert list(document["embeddings"]) == [photograph.name]
    errors = document["errors"]
    assert {name: error["code"] for name, error in errors.items()} == {
        "empty.jpg": "not_an_image",
        "text.jpg": "not_an_image",
        "huge.png": "too_many_pixels",
        "cut.jpg": "not_an_image",
    }
    assert "0 bytes" in errors["empty.jpg"]["message"]
    assert "30000" in errors["huge.png"]["message"].replace(" ", "")


def test_a_request_over_the_limit_is_refused(web: Web) -> None:
    answer = upload(web, ("big.jpg", bytes(2_000_001)))
    assert answer.status_code == 413
    assert "2000000 bytes" in error_of(answer)["message"]


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=str)
def test_both_routes_and_all_encodings_give_the_same_unit_vector(
    web: Web, photograph: Photograph
) -> None:
    named = upload(web, (photograph.name, photograph.data)).json()["embeddings"][photograph.name]
    array = upload(web, ("x", photograph.data), accept="application/x-npy")
    uri = f"data:{photograph.media_type};base64,{base64.b64encode(photograph.data).decode()}"
    openai = web.ask("POST", "/v1/embeddings", json={"input": uri, "encoding_format": "base64"})
    text = openai.json()["data"][0]["embedding"]
    vectors = [
        np.array(named, np.float32),
        np.load(io.BytesIO(array.content))[0],
        np.frombuffer(base64.b64decode(text), "<f4"),
    ]
    for vector in vectors:
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
        np.testing.assert_allclose(vector, vectors[0], atol=1e-5)


def test_texts_and_images_mix(web: Web) -> None:
    image = base64.b64encode(PHOTOGRAPHS[0].data).decode()
    answer = web.ask("POST", "/v1/embeddings", json={"input": ["a temple", {"image": image}]})
    text, picture = (np.array(one["embedding"]) for one in answer.json()["data"])
    assert text.shape == picture.shape
    assert abs(float(text @ picture)) < 0.999


def test_live_tuning_fails_no_request(pipeline_and_web: tuple[Pipeline, Web]) -> None:
    pipeline, web = pipeline_and_web
    files = {"files": ("x.jpg", PHOTOGRAPHS[1].data)}

    async def run() -> list[int]:
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            asked = [asyncio.create_task(client.post("/embed", files=files)) for _ in range(24)]
            for setting in (Setting(3, 8), Setting(1, 1, 1), Setting(2, 4)):
                await asyncio.to_thread(pipeline.retune, setting)
                await asked.pop()
            return [(await one).status_code for one in asked]

    assert set(asyncio.run(run())) == {200}
    assert web.count("embedding_num_streams") == 2


def test_the_model_says_that_its_vectors_mean_nothing(web: Web) -> None:
    (card,) = web.ask("GET", "/v1/models").json()["data"]
    assert (card["id"], card["meaningful"]) == ("sluice-tiny", False)
