"""POST /v1/embeddings: OpenAI's shape, with images beside texts."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from embedding_service.engine.pipeline import Vector
from embedding_service.engine.terms import Terms
from embedding_service.errors import ClientFault
from embedding_service.web.answers import JSON, openai_json, stack
from embedding_service.web.claim import claim_of
from embedding_service.web.failures import ItemFault
from embedding_service.web.items import Items, all_or_fault, read_images, sort_items
from embedding_service.web.schemas import EmbeddingsRequest, read_shape
from embedding_service.web.serving import Embedder, Serving
from embedding_service.web.trace import Trace, trace_of


async def answer_embeddings(request: Request, serving: Serving) -> Response:
    """Answer one request.

    Raises:
        ClientFault: the request or one of its items is wrong.
        ServerFault: the engine failed.
    """
    trace = trace_of(request.scope)
    with trace.span("body"):
        wanted = read_shape(await request.body(), EmbeddingsRequest)
    embedder = serving.embedder
    _check_request(wanted, embedder)
    items = sort_items(
        wanted.input,
        serving.settings.max_images_per_request,
        strings_are_images=wanted.modality == "image",
    )
    trace.items = len(items)
    terms = await claim_of(request.scope).counted(len(items))
    images = await read_images(items, serving, trace)
    with trace.span("embed"):
        vectors = await _embed(embedder, items, images, trace, terms)
    with serving.timed_serialise(trace):
        body = openai_json(
            stack(vectors, wanted.dimensions),
            embedder.model.name,
            wanted.encoding_format,
            _usage(items, embedder),
        )
    return Response(body, media_type=JSON)


def check_model(wanted: str, embedder: Embedder) -> None:
    """Compare with the loaded model; ViT-B/32 is ViT-B-32.

    Raises:
        ClientFault: 404, another model is loaded.
    """
    name = embedder.model.name
    if wanted.replace("/", "-") != name.replace("/", "-"):
        message = f"the model {wanted[:200]!r} is not loaded here, {name!r} is"
        raise ClientFault(404, "model_not_found", message)


def _check_request(wanted: EmbeddingsRequest, embedder: Embedder) -> None:
    model = embedder.model
    if wanted.model is not None:
        check_model(wanted.model, embedder)
    if wanted.dimensions is not None and wanted.dimensions > model.dimensions:
        message = f"dimensions is {wanted.dimensions}, the model has {model.dimensions}"
        raise ItemFault("dimensions", "invalid_value", message)


async def _embed(
    embedder: Embedder, items: Items, images: Sequence[bytes], trace: Trace, terms: Terms
) -> list[Vector]:
    """Return the vectors in the order of `input`."""
    of_images, of_texts = await asyncio.gather(
        embedder.embed_images(images, terms),
        embedder.embed_texts(list(items.texts.values()), terms),
    )
    found = all_or_fault(list(items.images), of_images, trace)
    by_place = dict(zip(items.images, found, strict=True))
    by_place.update(zip(items.texts, of_texts, strict=True))
    return [by_place[place] for place in sorted(by_place)]


def _usage(items: Items, embedder: Embedder) -> dict[str, int]:
    """Count as computed: every text is padded to the model's context length."""
    tokens = len(items.texts) * embedder.model.context_length
    return {
        "prompt_tokens": tokens,
        "total_tokens": tokens,
        "num_texts": len(items.texts),
        "num_images": len(items.images),
    }
