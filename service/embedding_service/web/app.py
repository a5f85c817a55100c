"""The FastAPI application: routes inside the gate, the keys and the envelope."""

import importlib.metadata
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from embedding_service.web.docs_page import add_docs
from embedding_service.web.document import complete
from embedding_service.web.envelope import Envelope
from embedding_service.web.failures import failure_of
from embedding_service.web.gate import Gate
from embedding_service.web.health import health_routes
from embedding_service.web.keys import KeyCheck
from embedding_service.web.routes import report_routes, work_routes
from embedding_service.web.serving import Serving

_DESCRIPTION = (
    "Turns images and texts into vectors with one open_clip model. Every vector has unit length. "
    "Every error has the shape {error: {message, type, param, code}}. Every answer names its "
    "X-Request-Id; an id that the client sends is kept."
)


def create_app(serving: Serving) -> FastAPI:
    """Build the application around `serving`, which may still be loading its model."""
    app = FastAPI(
        title="Sluice embedding server",
        version=importlib.metadata.version("sluice"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would drop the body of many clients
    )
    app.add_exception_handler(HTTPException, _of_router)
    app.include_router(work_routes(serving))
    app.include_router(report_routes(serving))
    app.include_router(health_routes(serving))
    app.openapi = lambda: _document(app, serving)  # type: ignore[method-assign] # FastAPI's own way
    add_docs(app)
    # The last one added is the outermost.
    app.add_middleware(Gate, serving=serving)
    app.add_middleware(KeyCheck, keys=serving.keys)
    app.add_middleware(Envelope, serving=serving)
    return app


def _document(app: FastAPI, serving: Serving) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        written = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        app.openapi_schema = complete(written, keyed=serving.keys is not None)
    return app.openapi_schema


async def _of_router(request: Request, error: Exception) -> Response:
    return failure_of(error).response()
