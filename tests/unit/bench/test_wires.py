"""Requests are what each server reads, every image is another file, and bad answers are seen."""

import base64
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.wires import Base64List, DataUris, Multipart, marked, spoiled, wire_named
from embedding_service.sources.multipart import UploadReader, boundary_of
from embedding_service.web.answers import named_json


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "JPEG")
    return file.getvalue()


FILES = (picture(10), picture(200))


def images_of_multipart(body: bytes) -> list[bytes]:
    boundary = boundary_of(Multipart.content_type)
    assert boundary is not None
    reader = UploadReader(boundary, 100, 10**6)
    reader.feed(body)
    return [bytes(upload.image) for upload in reader.finish() if isinstance(upload.image, bytes)]


def images_of_uris(body: bytes) -> list[bytes]:
    texts = json.loads(body)["input"]
    assert all(text.startswith("data:image/jpeg;base64,") for text in texts)
    return [base64.b64decode(text.partition(",")[2], validate=True) for text in texts]


def images_of_list(body: bytes) -> list[bytes]:
    return [base64.b64decode(text, validate=True) for text in json.loads(body)["images"]]


WIRES = pytest.mark.parametrize(
    ("name", "images_of"),
    [
        ("multipart", images_of_multipart),
        ("data-uris", images_of_uris),
        ("base64-list", images_of_list),
    ],
)


@WIRES
@given(places=st.lists(st.integers(0, 1), min_size=1, max_size=50), serial=st.integers(0, 10**14))
@settings(max_examples=30, deadline=None)
def test_a_request_carries_the_photographs_in_order_and_no_two_alike(
    name: str, images_of: Callable[[bytes], list[bytes]], places: list[int], serial: int
) -> None:
    body = b"".join(wire_named(name, FILES).buffers(places, serial))
    images = images_of(body)
    assert len(images) == len(set(images)) == len(places)
    for image, place in zip(images, places, strict=True):
        shade = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))[0, 0, 0]
        assert abs(int(shade) - (10, 200)[place]) < 20


def test_the_prefix_keeps_base64_in_step_and_spoils_nothing_else() -> None:
    assert len(marked(7)) == len(spoiled(7)) == 21
    assert spoiled(7)[:2] != marked(7)[:2]


def test_sluices_own_answer_is_intact_only_when_it_is_whole() -> None:
    vectors = [np.ones(3, np.float32), np.zeros(3, np.float32)]
    answer = named_json(["00.jpg", "01.jpg"], vectors)
    wire = Multipart(FILES)
    assert wire.intact(answer, 2)
    assert not wire.intact(answer, 3)
    assert not wire.intact(b"[]", 0)
    assert wire.vectors(answer) == [[1, 1, 1], [0, 0, 0]]


def test_an_answer_with_an_error_is_no_vector() -> None:
    answer = b'{"embeddings":{"a":[1.0]},"errors":{"b":{"code":"not_an_image"}}}'
    with pytest.raises(ValueError, match="errors"):
        Multipart(FILES).vectors(answer)
    assert not Multipart(FILES).intact(answer, 2)


def test_the_peers_answers_are_read_by_index() -> None:
    rows = [{"object": "embedding", "embedding": [2.0], "index": 1}]
    rows.append({"object": "embedding", "embedding": [1.0], "index": 0})
    answer = json.dumps({"data": rows}, separators=(",", ":")).encode()
    assert DataUris(FILES).intact(answer, 2)
    assert not DataUris(FILES).intact(answer, 1)
    assert DataUris(FILES).vectors(answer) == [[1.0], [2.0]]
    listed = b'{"embeddings":[[1.0],[2.0]]}'
    assert Base64List(FILES).intact(listed, 2)
    assert not Base64List(FILES).intact(listed, 3)
    assert Base64List(FILES).vectors(listed) == [[1.0], [2.0]]


def test_an_unknown_wire_is_refused() -> None:
    with pytest.raises(ValueError, match="pigeon"):
        wire_named("pigeon", FILES)
