"""Vectors to bytes: OpenAI's JSON, the origin's JSON, and .npy. Whole batches, never one by one."""

import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from embedding_service.engine.pipeline import Vector
from embedding_service.errors import ImageFailure

JSON: Final = "application/json"
NPY: Final = "application/x-npy"
Matrix = npt.NDArray[np.float32]
"""Float32 [vectors, dimensions], C order."""


def stack(vectors: Sequence[Vector], dimensions: int | None) -> Matrix:
    """Put vectors into one matrix; shorter `dimensions` keep the front and unit length."""
    matrix = np.stack(vectors)
    if dimensions is None or dimensions == matrix.shape[1]:
        return matrix
    front: Matrix = matrix[:, :dimensions].copy()
    lengths = np.linalg.norm(front, axis=1, keepdims=True)
    lengths[lengths == 0] = 1  # a vector may be zero in front: there is nothing to scale
    front /= lengths
    return front


def openai_json(
    matrix: Matrix,
    model: str,
    encoding: Literal["float", "base64"],
    usage: Mapping[str, int],
) -> bytes:
    """Write OpenAI's list of embeddings."""
    rows: Sequence[object] = base64_rows(matrix) if encoding == "base64" else list(matrix)
    answer = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(rows)
        ],
        "model": model,
        "usage": usage,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def base64_rows(matrix: Matrix) -> list[str]:
    """Return each row as base64 of its little-endian float32 numbers."""
    data = memoryview(matrix.astype("<f4", copy=False).tobytes())
    width = matrix.shape[1] * 4
    return [
        binascii.b2a_base64(data[start : start + width], newline=False).decode("ascii")
        for start in range(0, len(data), width)
    ]


def named_json(
    names: Sequence[str],
    outcomes: Sequence[Vector | ImageFailure],
    encoding: Literal["float", "base64"] = "float",
) -> bytes:
    """Write {"embeddings": {name: vector}, "errors": {name: {code, message}}}."""
    vectors: dict[str, Vector] = {}
    errors: dict[str, dict[str, str]] = {}
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, ImageFailure):
            errors[name] = asdict(outcome)
        else:
            vectors[name] = outcome
    embeddings: Mapping[str, object] = vectors
    if encoding == "base64" and vectors:
        rows = base64_rows(np.stack(list(vectors.values())))
        embeddings = dict(zip(vectors, rows, strict=True))
    answer = {"embeddings": embeddings, "errors": errors}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def npy(outcomes: Sequence[Vector | ImageFailure], dimensions: int) -> bytes:
    """Write one .npy file: float32 [images, dimensions], rows as requested, failures as NaN."""
    matrix = np.full((len(outcomes), dimensions), np.nan, np.float32)
    for row, outcome in enumerate(outcomes):
        if not isinstance(outcome, ImageFailure):
            matrix[row] = outcome
    file = io.BytesIO()
    np.save(file, matrix, allow_pickle=False)
    return file.getvalue()
