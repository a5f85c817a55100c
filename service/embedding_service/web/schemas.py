"""The shapes of requests, as pydantic models: they check, and they document themselves in /docs."""

from typing import Any, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedding_service.errors import ClientFault
from embedding_service.web.failures import ItemFault

_TINY_PNG: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
    "WjR9awAAAABJRU5ErkJggg=="
)


def _one(field: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field: {"type": "string", "minLength": 1}},
        "required": [field],
        "additionalProperties": False,
    }


_ITEM: Final[list[Any]] = [{"type": "string", "minLength": 1}, _one("text"), _one("image")]
_Shape = TypeVar("_Shape", bound=BaseModel)


class EmbeddingsRequest(BaseModel):
    """OpenAI's embeddings request, with images beside texts."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"input": ["a photograph of a cat", {"image": _TINY_PNG}]}],
        },
    )

    input: Any = Field(
        description="One item or a list of items. An item is a text, a data URI of an image, the "
        'address of an image (https, http, s3, gs), {"text": "..."}, or {"image": "data URI, '
        'base64 or address"}. Addresses are fetched as far as the server is set up for it.',
        json_schema_extra={
            "anyOf": [*_ITEM, {"type": "array", "minItems": 1, "items": {"anyOf": _ITEM}}]
        },
    )
    model: str | None = Field(
        None, description="Name of the loaded model, see GET /v1/models; may be left out."
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64 is float32, little endian: a third of the bytes of float."
    )
    dimensions: int | None = Field(
        None, ge=1, description="Keep this many leading numbers and scale to unit length again."
    )
    modality: Literal["text", "image"] | None = Field(
        None, description='"image": plain strings are images in base64 too, not texts.'
    )
    user: str | None = Field(None, description="Accepted as OpenAI does, and not used.")


class NamesRequest(BaseModel):
    """References to images: names in the server's own folder, URLs, objects of a store."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"images": ["cats/1.jpg", "https://example.org/2.png", "s3://albums/3"]}]
        },
    )

    images: list[str] = Field(
        min_length=1,
        description="Names relative to the image folder, https or http URLs, s3://bucket/key or "
        "gs://bucket/key. The answer is keyed by them as they are given.",
    )


def read_shape(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read a JSON body.

    Raises:
        ClientFault: not JSON, or not this shape; the message names the field.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ClientFault(400, "invalid_json", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ClientFault(400, "invalid_json", "the body must be a JSON object")
    try:
        return shape.model_validate(document, strict=True)
    except ValidationError as error:
        raise _first_fault(error, shape) from error


def _first_fault(error: ValidationError, shape: type[BaseModel]) -> ItemFault:
    """Say the first thing that is wrong; the value itself may be megabytes and is not repeated."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    field = "".join(steps).removeprefix(".")[:200]
    if first["type"] == "extra_forbidden":
        known = ", ".join(shape.model_fields)
        return ItemFault(field, "unknown_field", f"{field}: no such field; known are {known}")
    return ItemFault(field, "invalid_value", f"{field}: {first['msg']}")
