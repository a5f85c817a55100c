"""Images inside the request."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ImageFailure
from embedding_service.sources.inline import (
    is_reference,
    read_base64,
    read_data_uri,
    read_image_text,
    read_uploaded,
)

LIMIT = 1000


def code_of(outcome: bytes | ImageFailure) -> str:
    assert isinstance(outcome, ImageFailure)
    return outcome.code


@settings(deadline=None)
@given(st.binary(max_size=LIMIT), st.sampled_from(["image/jpeg", "", "IMAGE/PNG;a=b"]))
def test_what_is_written_as_a_data_uri_comes_back(data: bytes, media_type: str) -> None:
    uri = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    assert read_image_text(uri, LIMIT) == data
    assert read_image_text(uri.replace("data:", "DATA:", 1), LIMIT) == data


@settings(deadline=None)
@given(st.binary(max_size=LIMIT))
def test_plain_base64_comes_back(data: bytes) -> None:
    assert read_image_text(base64.b64encode(data).decode(), LIMIT) == data


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_bytes_or_a_failure(text: str) -> None:
    outcome = read_image_text(text, LIMIT)
    if isinstance(outcome, ImageFailure):
        assert outcome.code in {"not_an_image", "forbidden_source", "too_large"}
    else:
        assert len(base64.b64encode(outcome)) == len(text.split(",", 1)[-1])


@pytest.mark.parametrize(
    "text", ["AAA", "AA=A", "AAAA\n", "AAAA\nAAAA", "AA-_", "AAAAé", "====", "A", "AAAA===="]
)
def test_base64_is_strict(text: str) -> None:
    assert code_of(read_base64(text, LIMIT)) == "not_an_image"


@pytest.mark.parametrize("uri", ["data:image/png", "data:image/png,AAAA", "data:;base6,AAAA"])
def test_a_data_uri_must_be_base64(uri: str) -> None:
    assert code_of(read_data_uri(uri, LIMIT)) == "not_an_image"


@settings(deadline=None)
@given(st.integers(0, 40))
def test_the_limit_is_exact(size: int) -> None:
    outcome = read_base64(base64.b64encode(bytes(size)).decode(), 20)
    assert outcome == bytes(size) if size <= 20 else code_of(outcome) == "too_large"
    uploaded = read_uploaded(bytes(size), 20)
    assert uploaded == bytes(size) if size <= 20 else code_of(uploaded) == "too_large"


@pytest.mark.parametrize(
    "address", ["http://x/a.jpg", "HTTPS://x", "s3://b/k", "gs://b/k", "file:///etc/passwd"]
)
def test_an_address_alone_is_a_reference(address: str) -> None:
    assert is_reference(address)


@pytest.mark.parametrize("text", ["see http://x/a.jpg", "a cat", "http:", "https//x"])
def test_a_text_that_only_mentions_an_address_is_none(text: str) -> None:
    assert not is_reference(text)
