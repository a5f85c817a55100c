"""The OpenAPI document: FastAPI writes the routes, this completes what every route shares. Pure.

Every answer names its headers, every refusal its schema and an example made by the table of
failures itself. `SCHEMAS` has the shapes of answers, `schemas.py` those of requests.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from embedding_service.errors import (
    ClientFault,
    DeadlineExceeded,
    Draining,
    Overloaded,
    ServerFault,
    ServiceError,
)
from embedding_service.web.answers import JSON
from embedding_service.web.document_schemas import SCHEMAS
from embedding_service.web.failures import ItemFault, failure_of
from embedding_service.web.keys import OPEN_PATHS, Unauthorised

Document = dict[str, Any]

_REFUSALS: Final[Mapping[int, tuple[str, ServiceError]]] = {
    400: (
        "The request is wrong; `param` names where",
        ItemFault("input[3]", "not_an_image", "input[3]: the bytes are no image of a known format"),
    ),
    401: (
        "A key is needed, or this one is not known",
        Unauthorised("this server needs an API key: send Authorization: Bearer KEY"),
    ),
    404: (
        "Another model is loaded",
        ClientFault(
            404, "model_not_found", "the model 'ViT-L-14' is not loaded here, 'ViT-B-32' is"
        ),
    ),
    406: (
        "No form of the answer is acceptable",
        ClientFault(
            406,
            "not_acceptable",
            "this route answers application/json or application/x-npy; Accept names none of them",
        ),
    ),
    408: (
        "The body came too slowly",
        ClientFault(408, "request_timeout", "the body came too slowly: 512 bytes in 20 seconds"),
    ),
    413: (
        "Over a limit; the message names it",
        ClientFault(413, "too_many_images", "the request has 300 images, the limit is 256"),
    ),
    415: (
        "The body has a form that is not taken",
        ClientFault(
            415,
            "unsupported_media_type",
            "send files as multipart/form-data, or names as application/json",
        ),
    ),
    429: (
        "At the limit; try again after Retry-After seconds",
        Overloaded("the server is at its limit: the queue of 64 requests is full", 2.0),
    ),
    500: ("A fault of the server; its log has the reason", ServerFault("a lane failed")),
    503: (
        "Loading or shutting down; try again after Retry-After seconds",
        Draining("the server is shutting down, send the request again"),
    ),
    504: (
        "The client's deadline passed; the work was dropped",
        DeadlineExceeded("the deadline passed before the answer was there"),
    ),
}

_HEADERS: Final[Mapping[str, Document]] = {
    "X-Request-Id": {
        "description": "The client's own id where it is sane, else a new one; the log has it too",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
        "example": "8f14e45fceea167a",
    },
    "Server-Timing": {
        "description": "Milliseconds of the parts: wait, body, fetch, embed, serialise, total",
        "required": True,
        "schema": {"type": "string"},
        "example": "wait;dur=0.041, embed;dur=12.310, total;dur=13.002",
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 2,
    },
    "WWW-Authenticate": {
        "description": "How to show a key",
        "required": True,
        "schema": {"const": "Bearer"},
        "example": "Bearer",
    },
}
_OF_EVERY_ANSWER: Final = ("X-Request-Id", "Server-Timing")
_OF_STATUS: Final = {"401": ("WWW-Authenticate",), "429": ("Retry-After",), "503": ("Retry-After",)}
_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "One of the server's API keys, where it has any",
}


def shown(schema: str, description: str, example: object) -> Document:
    """Return a good answer in JSON, for `responses` of a route."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "description": description,
        "content": {JSON: {"schema": reference, "example": example}},
    }


def refusals(*statuses: int) -> dict[int | str, Document]:
    """Return the refusals with these statuses, for `responses` of a route."""
    return {status: {"description": _REFUSALS[status][0]} for status in statuses}


def complete(document: Document, *, keyed: bool) -> Document:
    """Add what all routes share to the document that FastAPI wrote.

    Args:
        document: it is changed.
        keyed: this server asks for keys; else they are optional.
    """
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update(SCHEMAS)
    parts["headers"] = dict(_HEADERS)
    parts["securitySchemes"] = {"bearer": _BEARER}
    for path, operation in _operations(document):
        if path not in OPEN_PATHS:
            operation["security"] = [{"bearer": []}] if keyed else [{"bearer": []}, {}]
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for status, answer in operation["responses"].items():
            _complete_answer(status, answer)
    return document


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _complete_answer(status: str, answer: Document) -> None:
    """Name the headers; a refusal that says nothing else has the shape of an error."""
    names: tuple[str, ...] = _OF_EVERY_ANSWER
    if int(status) in _REFUSALS and "content" not in answer:
        _, error = _REFUSALS[int(status)]
        reference = {"$ref": "#/components/schemas/Error"}
        answer["content"] = {JSON: {"schema": reference, "example": failure_of(error).document()}}
        names += _OF_STATUS.get(status, ())
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    answer["headers"] = answer.get("headers", {}) | headers
