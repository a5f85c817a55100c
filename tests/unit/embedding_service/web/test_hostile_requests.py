"""Hostile requests to the whole server: the right 4xx or one failed image, never a 500."""

import asyncio
import json
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bombs.bombs import PIXELS, bombs
from embedding_service.engine.pipeline import build_pipeline
from embedding_service.errors import ClientFault
from embedding_service.metrics import Instruments
from embedding_service.sources.multipart import UploadReader
from embedding_service.web.serving import Serving
from fakes.pipeline import IMAGE, FakePipeline
from fakes.web import FixedReporter, Web, error_of, settings_with, web_with
from load.photographs import photographs

PHOTOGRAPH = photographs(1)[0]
SMALL = 3_000_000
FORM = {"content-type": "multipart/form-data; boundary=edge"}
END = b"--edge--\r\n"


def part(name: str, data: bytes, more: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="f"; filename="{name}"\r\n{more}\r\n'
    return b"--edge\r\n" + head.encode() + data + b"\r\n"


@pytest.fixture(scope="module")
def real() -> Iterator[Web]:
    """The real pipeline with the small model."""
    settings = settings_with(
        model="sluice-tiny", pretrained="random:0", device="cpu", max_batch=4,
        max_image_pixels=16_000_000,
    )  # fmt: skip
    instruments = Instruments(CollectorRegistry())
    pipeline = build_pipeline(settings, instruments)
    serving = Serving(settings, instruments)
    serving.serve(pipeline, FixedReporter(settings))
    yield Web(settings, serving, FakePipeline(settings), instruments)
    asyncio.run(pipeline.close())


@pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")  # as imaging/decode.py does
def test_bombs_fail_alone_among_good_images(real: Web) -> None:
    hostile = {name: bomb for name, bomb in bombs().items() if len(bomb.data) < SMALL}
    assert len(hostile) > 25
    files = [("f", ("first.jpg", PHOTOGRAPH.data))]
    files += [("f", (f"{name}.jpg", bomb.data)) for name, bomb in hostile.items()]
    files += [("f", ("last.jpg", PHOTOGRAPH.data))]
    answer = real.ask("POST", "/embed", files=files)
    assert answer.status_code == 200
    document = answer.json()
    assert document["embeddings"]["first.jpg"] == pytest.approx(document["embeddings"]["last.jpg"])
    for name, bomb in hostile.items():
        error = document["errors"].get(f"{name}.jpg")
        outcome = PIXELS if error is None else error["code"]
        assert outcome in bomb.right, name
    alone = real.ask("POST", "/embed", files=[("f", ("first.jpg", PHOTOGRAPH.data))]).json()
    assert alone["embeddings"]["first.jpg"] == pytest.approx(document["embeddings"]["first.jpg"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", b'{"input": ' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
        ("/v1/embeddings", b'{"input": ' + b'{"image": ' * 200_000),
        ("/v1/embeddings", b'{"input": ["\\ud800"]}'),
        ("/v1/embeddings", b'{"input": "a", "dimensions": ' + b"9" * 5000 + b"}"),
        ("/v1/embeddings", b'{"input": "a", "dimensions": 1e400}'),
        ("/v1/embeddings", b'{"input": "a", "model": "' + b"m" * 1_000_000 + b'"}'),
        ("/v1/embeddings", b'{"input": "a", "' + b"k" * 1_000_000 + b'": 1}'),
        ("/v1/embeddings", b"\xff\xfe\x00"),
        ("/v1/embeddings", b'{"input": [' + b'"a",' * 100_000 + b'"a"]}'),
        ("/embed", b'{"images": ["' + b"n" * 1_000_000 + b'", "' + b"n" * 1_000_000 + b'"]}'),
        ("/embed", b'{"images": [' + b'"a.jpg",' * 100_000 + b'"b"]}'),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[:40]!r}",
)
def test_a_hostile_document_gets_a_short_4xx(
    path: str, body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    web = web_with(image_folder=tmp_path_factory.mktemp("images"))
    answer = web.ask("POST", path, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert len(error_of(answer)["message"]) < 1000


def test_a_hundred_thousand_parts_are_refused_at_the_limit() -> None:
    reader = UploadReader(b"edge", 256, 1000)
    one = part("a.jpg", b"x", "X-Long: " + "y" * 4000 + "\r\n")
    for _ in range(256):
        reader.feed(one)
    with pytest.raises(ClientFault) as caught:
        reader.feed(one * 1000)
    assert (caught.value.status, caught.value.code) == (413, "too_many_images")


def feed_all(reader: UploadReader, body: bytes) -> None:
    for place in range(0, len(body), 65_536):
        reader.feed(body[place : place + 65_536])
    reader.finish()


@pytest.mark.parametrize(
    "start",
    [
        b"--edge\r\nX: " + b"y" * 10_000_000,
        b"--edge\r\n" + b"x" * 10_000_000,
        b"--edge\r\n" + b"X: y\r\n" * 1_000_000,
        b"--edge\r\n" + (b"X: " + b"y" * 4000 + b"\r\n") * 2500,
        b"\r\n" * 5_000_000,
        b"before" * 1_000_000,
    ],
    ids=["one header", "a name without end", "a million headers", "long headers", "lines", "text"],
)
def test_megabytes_of_headers_are_refused_and_not_kept(start: bytes) -> None:
    reader = UploadReader(b"edge", 256, 1000)
    tracemalloc.start()
    try:
        with pytest.raises(ClientFault) as caught:
            feed_all(reader, start)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (caught.value.status, caught.value.code) == (400, "malformed_multipart")
    assert kept < 1 << 20


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e%2fpasswd",
        "../../etc/passwd",
        "a\\b.jpg",
        "\u202egpj.exe",
        "ü☃.jpg",
        "a" * 1024,
        "%00",
    ],
)
def test_a_strange_name_of_an_upload_is_only_a_key(name: str) -> None:
    body = part(name, IMAGE) + END
    answer = web_with().ask("POST", "/embed", content=body, headers=FORM)
    assert answer.status_code == 200
    (key,) = json.loads(answer.content)["embeddings"]
    assert key in {name, name.replace("\\", "")}


@pytest.mark.parametrize("name", ["a" * 1025, "", "\udcff"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    body = part(name.encode("utf-8", "surrogateescape").decode("latin-1"), IMAGE) + END
    raw = body.replace("ÿ".encode(), b"\xff")
    answer = web_with().ask("POST", "/embed", content=raw, headers=FORM)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "malformed_multipart"


def test_a_nul_in_a_name_harms_nobody() -> None:
    body = part("a\0.jpg", IMAGE) + part("b.jpg", IMAGE) + END
    answer = web_with().ask("POST", "/embed", content=body, headers=FORM)
    assert answer.status_code in (200, 400)
    assert isinstance(httpx.Response(200, content=answer.content).json(), dict)
