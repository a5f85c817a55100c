"""POST /embed: the origin's shape. Files as multipart, one image as it is, or references."""

from collections.abc import Sequence
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from embedding_service.engine.terms import Terms
from embedding_service.errors import ClientFault, ImageFailure
from embedding_service.sources.multipart import UploadReader, boundary_of
from embedding_service.sources.raw import RawReader, is_raw, name_of
from embedding_service.sources.reference import kind_of, shown
from embedding_service.web.accept import choose
from embedding_service.web.answers import JSON, NPY, named_json, npy
from embedding_service.web.claim import claim_of
from embedding_service.web.failures import ItemFault
from embedding_service.web.schemas import NamesRequest, read_shape
from embedding_service.web.serving import Serving
from embedding_service.web.trace import trace_of

FORMS: Final = (JSON, NPY)
"""Media types of the answer, the preferred one first."""
_Named = tuple[list[str], list[bytes | ImageFailure], Terms]


async def answer_embed(request: Request, serving: Serving) -> Response:
    """Answer one request; one bad image fails alone.

    Raises:
        ClientFault: the request itself is wrong.
        ServerFault: the engine failed.
    """
    trace = trace_of(request.scope)
    form, encoding = choose(request.headers.get("accept", ""), FORMS), _encoding(request)
    names, images, terms = await _named_images(request, serving)
    trace.items = len(names)
    embedder = serving.embedder
    with trace.span("embed"):
        outcomes = await embedder.embed_images(images, terms)
    failed = sum(isinstance(outcome, ImageFailure) for outcome in outcomes)
    trace.failed_items = failed
    with serving.timed_serialise(trace):
        if form == NPY:
            body = npy(outcomes, embedder.model.dimensions)
            return Response(body, media_type=NPY, headers={"x-failed-images": str(failed)})
        return Response(named_json(names, outcomes, encoding), media_type=JSON)


async def _named_images(request: Request, serving: Serving) -> _Named:
    """Return names, images as uploaded or as referred to, and the terms of the work."""
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    disposition = request.headers.get("content-disposition", "")
    name = name_of(request.query_params.get("name", ""), disposition)
    if boundary is not None:
        return await _uploaded(request, serving, boundary)
    if is_raw(content_type):
        return await _raw(request, serving, name)
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise ClientFault(
            415,
            "unsupported_media_type",
            "send files as multipart/form-data, one image as image/*, or references as "
            "application/json",
        )
    return await _referred(request, serving)


async def _uploaded(request: Request, serving: Serving, boundary: bytes) -> _Named:
    settings = serving.settings
    reader = UploadReader(boundary, settings.max_images_per_request, settings.max_image_bytes)
    with trace_of(request.scope).span("body"):
        async for piece in request.stream():
            reader.feed(piece)
    uploads = reader.finish()
    if not uploads:
        raise ClientFault(400, "no_images", "the request has no files")
    names = [upload.name for upload in uploads]
    _refuse_duplicates(names)
    terms = await claim_of(request.scope).counted(len(names))
    return names, [upload.image for upload in uploads], terms


async def _raw(request: Request, serving: Serving, name: str) -> _Named:
    """Read the body as one image."""
    reader = RawReader(serving.settings.max_image_bytes)
    with trace_of(request.scope).span("body"):
        async for piece in request.stream():
            reader.feed(piece)
    terms = await claim_of(request.scope).counted(1)
    return [name], [reader.finish()], terms


async def _referred(request: Request, serving: Serving) -> _Named:
    """Read images by name in the folder, by URL, and out of object stores."""
    names = read_shape(await request.body(), NamesRequest).images
    if serving.sources.folder is None and all(kind_of(name) == "name" for name in names):
        message = "this server has no image folder: upload the files as multipart/form-data"
        raise ClientFault(400, "no_image_folder", message)
    limit = serving.settings.max_images_per_request
    if len(names) > limit:
        message = f"the request has {len(names)} images, the limit is {limit}"
        raise ClientFault(413, "too_many_images", message)
    _refuse_duplicates(names)
    terms = await claim_of(request.scope).counted(len(names))
    with trace_of(request.scope).span("fetch"):
        return names, await serving.sources.read(names), terms


def _refuse_duplicates(names: Sequence[str]) -> None:
    """The answer is keyed by name: two images of one name would hide each other."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"the name {shown(name)!r} comes twice, and the answer is keyed by name"
            raise ClientFault(400, "duplicate_name", message)
        seen.add(name)


def _encoding(request: Request) -> Literal["float", "base64"]:
    """Return how the vectors stand in JSON: ?encoding=float, the default, or base64."""
    match request.query_params.get("encoding", "float"):
        case "float":
            return "float"
        case "base64":
            return "base64"
        case _:
            raise ItemFault("encoding", "invalid_value", "encoding: use float or base64")
