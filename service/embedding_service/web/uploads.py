"""POST /embed: the origin's shape. Files as multipart, or names in the server's image folder."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from embedding_service.errors import ClientFault, ImageFailure
from embedding_service.sources.multipart import UploadReader, boundary_of
from embedding_service.web.answers import JSON, NPY, named_json, npy
from embedding_service.web.schemas import NamesRequest, read_shape
from embedding_service.web.serving import Serving
from embedding_service.web.trace import trace_of


async def answer_embed(request: Request, serving: Serving) -> Response:
    """Answer one request; one bad image fails alone.

    Raises:
        ClientFault: the request itself is wrong.
        ServerFault: the engine failed.
    """
    trace = trace_of(request.scope)
    names, images = await _named_images(request, serving)
    trace.items = len(names)
    embedder = serving.embedder
    with trace.span("embed"):
        outcomes = await embedder.embed_images(images)
    failed = sum(isinstance(outcome, ImageFailure) for outcome in outcomes)
    trace.failed_items = failed
    with serving.timed_serialise(trace):
        if _wants_npy(request):
            body = npy(outcomes, embedder.model.dimensions)
            return Response(body, media_type=NPY, headers={"x-failed-images": str(failed)})
        return Response(named_json(names, outcomes), media_type=JSON)


async def _named_images(
    request: Request, serving: Serving
) -> tuple[list[str], list[bytes | ImageFailure]]:
    """Return names and images, as uploaded or from the folder."""
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    if boundary is not None:
        return await _uploaded(request, serving, boundary)
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise ClientFault(
            415,
            "unsupported_media_type",
            "send files as multipart/form-data, or names as application/json",
        )
    return await _from_folder(request, serving)


async def _uploaded(
    request: Request, serving: Serving, boundary: bytes
) -> tuple[list[str], list[bytes | ImageFailure]]:
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
    return names, [upload.image for upload in uploads]


async def _from_folder(
    request: Request, serving: Serving
) -> tuple[list[str], list[bytes | ImageFailure]]:
    names = read_shape(await request.body(), NamesRequest).images
    if serving.folder is None:
        message = "this server has no image folder: upload the files as multipart/form-data"
        raise ClientFault(400, "no_image_folder", message)
    limit = serving.settings.max_images_per_request
    if len(names) > limit:
        message = f"the request has {len(names)} images, the limit is {limit}"
        raise ClientFault(413, "too_many_images", message)
    _refuse_duplicates(names)
    with trace_of(request.scope).span("fetch"):
        return names, await serving.folder.read(names)


def _refuse_duplicates(names: Sequence[str]) -> None:
    """The answer is keyed by name: two images of one name would hide each other."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"the name {name[:200]!r} comes twice, and the answer is keyed by name"
            raise ClientFault(400, "duplicate_name", message)
        seen.add(name)


def _wants_npy(request: Request) -> bool:
    accepted = request.headers.get("accept", "").split(",")
    return any(one.partition(";")[0].strip().lower() == NPY for one in accepted)
