"""Vectors as bytes."""

import base64
import io

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ImageFailure
from embedding_service.web.answers import base64_rows, named_json, npy, openai_json, stack
from fakes.pipeline import vector_of

FAILED = ImageFailure("not_an_image", "it is text")
VECTORS = [vector_of(b"a"), vector_of(b"b"), vector_of(b"c")]


def test_base64_is_little_endian_float32() -> None:
    rows = base64_rows(stack(VECTORS, None))
    back = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
    np.testing.assert_array_equal(np.stack(back), np.stack(VECTORS))


def test_floats_and_base64_say_the_same() -> None:
    matrix = stack(VECTORS, None)
    floats = orjson.loads(openai_json(matrix, "m", "float", {}))
    texts = orjson.loads(openai_json(matrix, "m", "base64", {}))
    for one, other in zip(floats["data"], texts["data"], strict=True):
        decoded = np.frombuffer(base64.b64decode(other["embedding"]), "<f4")
        np.testing.assert_array_equal(np.float32(one["embedding"]), decoded)
    assert [one["index"] for one in floats["data"]] == [0, 1, 2]


@settings(deadline=None)
@given(st.integers(1, 8))
def test_fewer_dimensions_keep_the_front_and_unit_length(dimensions: int) -> None:
    matrix = stack(VECTORS, dimensions)
    assert matrix.shape == (3, dimensions)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, rtol=1e-6)
    for vector, row in zip(VECTORS, matrix, strict=True):
        front = vector[:dimensions]
        np.testing.assert_allclose(row, front / np.linalg.norm(front), rtol=1e-6)


def test_shortening_leaves_the_engines_vector_alone() -> None:
    before = VECTORS[0].copy()
    stack(VECTORS, 2)
    np.testing.assert_array_equal(VECTORS[0], before)


def test_a_front_of_zeros_stays_zero() -> None:
    vector = np.array([0, 0, 1], np.float32)
    np.testing.assert_array_equal(stack([vector], 2), np.zeros((1, 2), np.float32))


def test_named_vectors_and_errors_are_apart() -> None:
    answer = orjson.loads(named_json(["a", "b"], [VECTORS[0], FAILED]))
    assert answer["errors"] == {"b": {"code": "not_an_image", "message": "it is text"}}
    assert list(answer["embeddings"]) == ["a"]
    np.testing.assert_array_equal(np.float32(answer["embeddings"]["a"]), VECTORS[0])


def test_npy_keeps_the_order_and_marks_failures() -> None:
    array = np.load(io.BytesIO(npy([VECTORS[0], FAILED, VECTORS[1]], 8)))
    assert (array.shape, array.dtype) == ((3, 8), np.float32)
    np.testing.assert_array_equal(array[[0, 2]], np.stack(VECTORS[:2]))
    assert np.isnan(array[1]).all()


@pytest.mark.parametrize("count", [1, 5])
def test_npy_of_failures_only_is_all_nan(count: int) -> None:
    array = np.load(io.BytesIO(npy([FAILED] * count, 4)))
    assert array.shape == (count, 4)
    assert np.isnan(array).all()
