"""The official `openai` client against the server on a loopback socket."""

import asyncio
import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import openai
import pytest

from fakes.pipeline import DIMENSIONS, IMAGE, vector_of
from fakes.web import Web, in_thread, web_with

PICTURE = IMAGE + b"one"
BASE64 = base64.b64encode(PICTURE).decode()
URI = f"data:image/jpeg;base64,{BASE64}"
KEY = "sk-test-0123456789"


@contextmanager
def served(web: Web) -> Iterator[openai.OpenAI]:
    """Serve `web` and give a client of it that does not try again."""
    http = openai.DefaultHttpxClient(trust_env=False)
    with (
        in_thread(web) as address,
        openai.OpenAI(
            base_url=f"{address}/v1", api_key=KEY, max_retries=0, timeout=10, http_client=http
        ) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with served(web_with()) as client:
        yield client


def create(client: openai.OpenAI, given: Any, **more: Any) -> list[list[float]]:
    answer = client.embeddings.create(input=given, model="fake", **more)
    assert answer.model == "fake"
    assert [one.index for one in answer.data] == list(range(len(answer.data)))
    return [one.embedding for one in answer.data]


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_texts_as_the_client_asks_by_default_and_as_numbers(
    client: openai.OpenAI, more: dict[str, Any]
) -> None:
    found = create(client, ["a cat", "a dog"], **more)
    np.testing.assert_array_equal(
        np.array(found, np.float32), [vector_of(b"a cat"), vector_of(b"a dog")]
    )
    assert len(create(client, "a cat", **more)) == 1


def test_the_clients_base64_is_left_as_it_is_when_asked_for(client: openai.OpenAI) -> None:
    (text,) = create(client, "a cat", encoding_format="base64")
    numbers = np.frombuffer(base64.b64decode(cast("str", text)), "<f4")
    np.testing.assert_array_equal(numbers, vector_of(b"a cat"))


def test_images_beside_texts(client: openai.OpenAI) -> None:
    found = create(client, ["a cat", URI, {"text": "dog"}, {"image": BASE64}])
    expected = [vector_of(b"a cat"), vector_of(PICTURE), vector_of(b"dog"), vector_of(PICTURE)]
    np.testing.assert_array_equal(np.array(found, np.float32), expected)


def test_the_modality_makes_strings_images(client: openai.OpenAI) -> None:
    found = create(client, [BASE64], extra_body={"modality": "image"})
    np.testing.assert_array_equal(np.array(found[0], np.float32), vector_of(PICTURE))


def test_dimensions_and_usage(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(input="a cat", model="fake", dimensions=3, user="somebody")
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1)
    assert len(answer.data[0].embedding) == 3
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (77, 77)


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_are_refused_with_what_to_do(client: openai.OpenAI, tokens: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="send the text itself") as caught:
        client.embeddings.create(input=tokens, model="fake")
    assert caught.value.code == "tokens_not_supported"
    assert caught.value.param == "input[0]"


def test_a_wrong_request_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="the model has 8") as caught:
        create(client, "a cat", dimensions=DIMENSIONS + 1)
    assert caught.value.param == "dimensions"
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'fake' is"):
        client.embeddings.create(input="a cat", model="text-embedding-3-small")


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    (model,) = client.models.list()
    assert (model.id, model.object, model.owned_by) == ("fake", "model", "sluice")
    assert client.models.retrieve("fake") == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other/model")
    assert caught.value.code == "model_not_found"


def test_a_model_with_a_slash_is_found_by_both_names() -> None:
    with served(web_with(model="ViT-B-32")) as client:
        assert client.models.retrieve("ViT-B/32") == client.models.retrieve("ViT-B-32")


def test_the_key_decides(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEY)
    with served(web_with(api_keys_file=tmp_path / "keys")) as client:
        assert len(create(client, "a cat")) == 1
        for call in (lambda one: create(one, "a cat"), lambda one: one.models.list()):
            with pytest.raises(openai.AuthenticationError) as caught:
                call(client.with_options(api_key="sk-wrong"))
            assert caught.value.code == "invalid_api_key"


def test_at_the_limit_the_client_waits_as_long_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    web = web_with(semaphore_size=1, queue_size=0)
    admission = web.pipeline.admission
    ticket = asyncio.run(admission.acquire(1.0))
    waits: list[float] = []

    def instead_of_waiting(seconds: float) -> None:
        waits.append(seconds)
        admission.release(ticket, 3.0)

    with served(web) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            create(client, "a cat")
        assert caught.value.code == "overloaded"
        told = caught.value.response.headers["retry-after"]
        monkeypatch.setattr(time, "sleep", instead_of_waiting)
        assert len(create(client.with_options(max_retries=1), "a cat")) == 1
    assert waits == [float(told)]


def test_a_server_that_loads_is_asked_again_later() -> None:
    with served(web_with(ready=False)) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            create(client, "a cat")
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "5"
