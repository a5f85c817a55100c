"""POST /v1/embeddings."""

import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from embedding_service.engine.pipeline import Vector
from embedding_service.errors import ServerFault
from fakes.pipeline import DIMENSIONS, IMAGE, vector_of
from fakes.web import Web, error_of, web_with

PICTURE = IMAGE + b"one"
URI = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"


@pytest.fixture
def web() -> Web:
    return web_with()


def ask(web: Web, **document: Any) -> httpx.Response:
    return web.ask("POST", "/v1/embeddings", json=document)


def array(numbers: Any) -> Vector:
    return np.array(numbers, np.float32)


def vectors_of(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [one["index"] for one in data] == list(range(len(data)))
    return [one["embedding"] for one in data]


def test_texts_and_images_come_back_in_their_order(web: Web) -> None:
    answer = ask(web, input=["a cat", URI, {"text": "dog"}, {"image": URI}], model="fake")
    expected = [vector_of(b"a cat"), vector_of(PICTURE), vector_of(b"dog"), vector_of(PICTURE)]
    np.testing.assert_array_equal(array(vectors_of(answer)), np.stack(expected))
    document = answer.json()
    assert (document["object"], document["model"]) == ("list", "fake")
    assert document["usage"] == {
        "prompt_tokens": 154, "total_tokens": 154, "num_texts": 2, "num_images": 2,
    }  # fmt: skip


def test_plain_base64_is_an_image_inside_an_image_item(web: Web) -> None:
    text = base64.b64encode(PICTURE).decode()
    for answer in (ask(web, input={"image": text}), ask(web, input=[text], modality="image")):
        np.testing.assert_array_equal(array(vectors_of(answer)[0]), vector_of(PICTURE))


def test_base64_answers_hold_the_same_numbers(web: Web) -> None:
    (text,) = vectors_of(ask(web, input="a cat", encoding_format="base64"))
    assert isinstance(text, str)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), vector_of(b"a cat"))


def test_fewer_dimensions_have_unit_length(web: Web) -> None:
    (vector,) = vectors_of(ask(web, input="a cat", dimensions=3))
    assert len(vector) == 3
    assert np.linalg.norm(vector) == pytest.approx(1)


def test_more_images_than_are_decoded_in_the_loop(web: Web) -> None:
    big = IMAGE + bytes(300_000)
    uri = f"data:;base64,{base64.b64encode(big).decode()}"
    (vector,) = vectors_of(ask(web, input=uri))
    np.testing.assert_array_equal(array(vector), vector_of(big))
    assert web.count("embedding_gil_busy_seconds_total") > 0


@pytest.mark.parametrize(
    ("document", "param", "code", "words"),
    [
        ({"input": ["a", "https://x/a.jpg"]}, "input[1]", "forbidden_source", "FETCH_URLS"),
        ({"input": ["a", {"image": "*"}]}, "input[1]", "not_an_image", "base64"),
        ({"input": ["a", {"image": "AAAA"}]}, "input[1]", "not_an_image", "not an image"),
        ({"input": {"image": ""}}, "input[0]", "not_an_image", "not an image"),
        ({"input": "a", "dimensions": 9}, "dimensions", "invalid_value", "the model has 8"),
        ({"input": "a", "dimensions": 0}, "dimensions", "invalid_value", "greater"),
        ({"input": "a", "dimensions": "8"}, "dimensions", "invalid_value", "integer"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value", "base64"),
        ({"input": "a", "inputs": 1}, "inputs", "unknown_field", "known are input, model"),
        ({}, "input", "invalid_value", "required"),
        ({"input": [[1, 2]]}, "input[0]", "tokens_not_supported", "send the text itself"),
        ({"input": [1, 2]}, "input[0]", "tokens_not_supported", "send the text itself"),
        ({"input": ["a", [[]]]}, "input[1]", "invalid_value", "must be a text"),
        ({"input": [None]}, "input[0]", "invalid_value", "must be a text"),
    ],
)
def test_what_is_wrong_is_named(
    web: Web, document: dict[str, Any], param: str, code: str, words: str
) -> None:
    answer = ask(web, **document)
    error = error_of(answer)
    assert answer.status_code == 400
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert words in error["message"]
    assert web.count("embedding_requests_total", outcome="client_fault") == 1


def test_an_image_over_its_limit_is_named() -> None:
    web = web_with(max_image_bytes=5)
    assert error_of(ask(web, input=["a", URI]))["code"] == "too_large"
    assert web.count("embedding_images_total", outcome="failed") == 1


def test_too_many_items_are_refused_whole() -> None:
    answer = ask(web_with(max_images_per_request=2), input=["a", "b", "c"])
    assert answer.status_code == 413
    assert "the limit is 2" in error_of(answer)["message"]


def test_another_model_is_not_found(web: Web) -> None:
    answer = ask(web, input="a", model="ViT-L-14")
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "model_not_found"
    assert "'fake'" in error_of(answer)["message"]


def test_a_slash_in_the_models_name_is_a_dash() -> None:
    assert ask(web_with(model="ViT-B-32"), input="a", model="ViT-B/32").status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"nul", b"\xff", b'"input"'])
def test_a_body_that_is_no_json_object_is_refused(web: Web, body: bytes) -> None:
    answer = web.ask("POST", "/v1/embeddings", content=body)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_json"


@pytest.mark.parametrize("fault", [ServerFault("a lane failed"), KeyError("secret detail")])
def test_a_fault_of_ours_shows_nothing_of_the_inside(web: Web, fault: Exception) -> None:
    web.pipeline.fault = fault
    answer = ask(web, input="a")
    assert answer.status_code == 500
    assert error_of(answer)["type"] == "server_error"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert web.count("embedding_requests_total", outcome="server_fault") == 1


def test_numbers_survive_the_text_form(web: Web) -> None:
    answer = ask(web, input="a cat")
    again = array(json.loads(answer.content)["data"][0]["embedding"])
    assert again.shape == (DIMENSIONS,)
    np.testing.assert_array_equal(again, vector_of(b"a cat"))
