"""The routes and their documentation. Thin: each calls one function that answers."""

from typing import Any, Final

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from embedding_contract.endpoints import EMBED_PATH, MODELS_PATH, OPENAI_PATH, TUNING_PATH
from embedding_service.web.answers import JSON, NPY
from embedding_service.web.claim import HEADER_PARAMETERS
from embedding_service.web.document import refusals, shown
from embedding_service.web.openai import answer_embeddings, check_model
from embedding_service.web.schemas import EmbeddingsRequest, NamesRequest
from embedding_service.web.self_report import (
    MODEL_EXAMPLE,
    TUNING_EXAMPLE,
    model_card,
    tuning_document,
)
from embedding_service.web.serving import Serving
from embedding_service.web.uploads import answer_embed

_OF_WORK: Final = (400, 401, 408, 413, 429, 500, 503, 504)
_OF_REPORTS: Final = (500, 503)
_FILES: Final = {
    "schema": {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "format": "binary"},
                "description": "Images; each part needs a file name of its own.",
            }
        },
    }
}
_ENCODING: Final = {
    "name": "encoding",
    "in": "query",
    "description": "How vectors stand in JSON: numbers, or base64 of little-endian float32.",
    "schema": {"type": "string", "enum": ["float", "base64"], "default": "float"},
}
_MODEL: Final = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Name of the model; a slash in it may stand as it is.",
    "schema": {"type": "string", "minLength": 1},
    "example": "ViT-B-32",
}

_RAW: Final = {"schema": {"type": "string", "format": "binary"}}
_NAME: Final = {
    "name": "name",
    "in": "query",
    "required": False,
    "description": "Name in the answer of an image that is the whole body.",
    "schema": {"type": "string", "maxLength": 1024},
}


def work_routes(serving: Serving) -> APIRouter:
    """Return the routes that give vectors; the gate stands in front of them."""
    router = APIRouter(tags=["vectors"], responses=refusals(*_OF_WORK))

    @router.post(
        OPENAI_PATH,
        summary="Vectors of texts and images, in OpenAI's shape",
        response_class=Response,
        openapi_extra={
            "parameters": HEADER_PARAMETERS,
            "requestBody": {"required": True, "content": {JSON: _shape(EmbeddingsRequest)}},
        },
        responses={
            200: shown("EmbeddingList", "The vectors", _OPENAI_EXAMPLE),
            **refusals(404),
        },
    )
    async def embeddings(request: Request) -> Response:
        """Give one unit vector for each item of `input`, in its order.

        An item that fails makes the whole answer a 400 whose `param` names it: OpenAI's shape
        has no errors for items; POST /embed has. Usage counts tokens as computed: every text is
        padded to the model's context length.
        """
        return await answer_embeddings(request, serving)

    @router.post(
        EMBED_PATH,
        summary="Vectors of images by file name",
        response_class=Response,
        openapi_extra={
            "parameters": [_NAME, _ENCODING, *HEADER_PARAMETERS],
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": _FILES,
                    JSON: _shape(NamesRequest),
                    "image/*": _RAW,
                    "application/octet-stream": _RAW,
                },
            },
        },
        responses={200: _embed_answer(), **refusals(406, 415)},
    )
    async def embed(request: Request) -> Response:
        """Upload files, send one image as it is, or refer to images. One bad image fails alone.

        A reference is a name in the server's folder, an https or http URL, or s3://bucket/key or
        gs://bucket/key. URLs are fetched from the public internet unless the server is set up
        otherwise; objects are read below the prefixes that it was given. A body that is one image
        is answered under `name`, the file name of its Content-Disposition, or `image`.

        `encoding=base64` gives each vector as base64 of little-endian float32: a third of the
        bytes. With `Accept: application/x-npy` the answer is one float32 array [images,
        dimensions]: rows in the order of the request, a failed image is a row of NaN, and
        X-Failed-Images counts them. Two images of the same name are refused.
        """
        return await answer_embed(request, serving)

    return router


def report_routes(serving: Serving) -> APIRouter:
    """Return the routes that say what runs here."""
    router = APIRouter(tags=["operation"], responses=refusals(*_OF_REPORTS))

    @router.get(
        MODELS_PATH,
        summary="The loaded model",
        response_class=Response,
        responses={
            200: shown("ModelList", "One model", {"object": "list", "data": [MODEL_EXAMPLE]}),
            **refusals(401),
        },
    )
    async def models() -> Response:
        """OpenAI's list of models, with what this server adds about its one model.

        `meaningful` is false for seeded random weights: their vectors mean nothing.
        `precision_reason` says why the weights have this number format. `parity` is what the
        self-test at start-up found: worst cosine with open_clip's own fp32 path, worst mean pixel
        difference of 255, and of which golden image or text; null where it is off.
        """
        return _json({"object": "list", "data": [model_card(serving)]})

    @router.get(
        f"{MODELS_PATH}/{{model:path}}",
        summary="One model",
        response_class=Response,
        openapi_extra={"parameters": [_MODEL]},
        responses={
            200: shown("Model", "The loaded model", MODEL_EXAMPLE),
            **refusals(401, 404),
        },
    )
    async def model(request: Request) -> Response:
        """The card of the loaded model, by its name; any other name is not found."""
        check_model(request.path_params["model"], serving.embedder)
        return _json(model_card(serving))

    @router.get(
        TUNING_PATH,
        summary="The setting in force, and what this pod knows about itself",
        response_class=Response,
        responses={200: shown("TuningReport", "What this pod runs", TUNING_EXAMPLE)},
    )
    async def tuning() -> Response:
        """What is in force, since when, of which generation, and what was refused.

        `suggested` is the setting that follows from `warmup`: lane seconds by batch size, decode
        seconds of a full-HD JPEG, bytes that a lane and a permit add.

        `activity` judges the last 30 seconds under the setting in force; null while that is too
        short. `shares` are busy time over what there is (cpu: of the container's limit), null where
        there is no such resource. `parts` say where the time of one image goes: waiting for a
        permit, fetch, decode, queue (for a decode thread and a lane), copy in, compute, copy out,
        serialise. `bottleneck`, `message` and `remedy` are the operator's words and thresholds.
        """
        return _json(tuning_document(serving))

    return router


def _embed_answer() -> dict[str, Any]:
    """Return the good answer of POST /embed, which has two forms."""
    answer = shown("NamedEmbeddings", "Vectors and errors by file name", _EMBED_EXAMPLE)
    answer["content"][NPY] = {"schema": {"type": "string", "format": "binary"}}
    answer["headers"] = {
        "X-Failed-Images": {
            "description": "Rows of NaN in an array; only with application/x-npy",
            "schema": {"type": "integer", "minimum": 0},
        }
    }
    return answer


def _json(document: dict[str, Any]) -> Response:
    return Response(orjson.dumps(document), media_type=JSON)


def _shape(shape: type[BaseModel]) -> dict[str, Any]:
    schema = shape.model_json_schema()
    return {"schema": schema, "example": schema["examples"][0]}


_OPENAI_EXAMPLE: Final = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.08]}],
    "model": "ViT-B-32",
    "usage": {"prompt_tokens": 77, "total_tokens": 77, "num_texts": 1, "num_images": 0},
}
_EMBED_EXAMPLE: Final = {
    "embeddings": {"cat.jpg": [0.12, -0.08]},
    "errors": {"notes.jpg": {"code": "not_an_image", "message": "the file is text"}},
}
