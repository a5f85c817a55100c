"""The one table from exception to answer: status, OpenAI's error shape, Retry-After.

No answer ever shows a stack trace or the text of an exception that was not written for people.
"""

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from embedding_service.errors import (
    ClientFault,
    DeadlineExceeded,
    Draining,
    ImageFailure,
    Overloaded,
    ServerFault,
    ServiceError,
)
from embedding_service.web.serving import Loading

DRAINING_RETRY_SECONDS: Final = 1
"""Another pod takes it at once; the pause only keeps a lone client from spinning."""
LOADING_RETRY_SECONDS: Final = 5


class ItemFault(ClientFault):
    """One field or item of the request is wrong. `param` names it, as `input[3]`."""

    def __init__(self, param: str, code: str, message: str) -> None:
        super().__init__(400, code, message)
        self.param = param


class ClientGone(Exception):
    """The client went away: nobody will read an answer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is not the one the client hoped for."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None
    allow: str | None = None
    authenticate: str | None = None

    @property
    def kind(self) -> str:
        """OpenAI's word for whose fault it is."""
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def document(self) -> dict[str, dict[str, str | None]]:
        """Return the JSON document of the answer."""
        return {
            "error": {
                "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
            }
        }  # fmt: skip

    def response(self) -> Response:
        """Return the HTTP answer."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(self.retry_after_seconds)
        if self.allow is not None:
            headers["allow"] = self.allow
        if self.authenticate is not None:
            headers["www-authenticate"] = self.authenticate
        return Response(
            orjson.dumps(self.document()), self.status, headers, media_type="application/json"
        )


def failure_of(error: Exception) -> Failure:
    """Return the answer to `error`. What is not known here is our own fault: 500, no details."""
    match error:
        case Overloaded():
            wait = max(1, math.ceil(error.retry_after_seconds))
            return Failure(429, error.code, error.message, None, wait)
        case DeadlineExceeded():
            return Failure(504, error.code, error.message)
        case Draining():
            return Failure(503, error.code, error.message, None, DRAINING_RETRY_SECONDS)
        case Loading():
            return Failure(503, error.code, error.message, None, LOADING_RETRY_SECONDS)
        case ClientFault():
            scheme = "Bearer" if error.status == HTTPStatus.UNAUTHORIZED else None
            param = error.param if isinstance(error, ItemFault) else None
            return Failure(error.status, error.code, error.message, param, authenticate=scheme)
        case ServerFault():
            return Failure(500, error.code, error.message)
        case HTTPException():
            return _of_framework(error)
        case _:
            return Failure(500, ServiceError.code, "the server failed; its log has the reason")


def outcome_of(status: int) -> str:
    """Return the contract's word for an answer with this status."""
    if status in (429, 503):
        return "rejected"
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return "expired"
    if status >= 500:
        return "server_fault"
    return "client_fault" if status >= 400 else "ok"


def is_expected(error: Exception) -> bool:
    """Say whether the log needs no stack trace for `error`."""
    return isinstance(error, ServiceError | HTTPException | ClientDisconnect | ClientGone)


def item_fault(index: int, failure: ImageFailure) -> ItemFault:
    """Return the error of the item at `index` of `input`, for an answer without item errors."""
    return ItemFault(f"input[{index}]", failure.code, f"input[{index}]: {failure.message}")


def _of_framework(error: HTTPException) -> Failure:
    """Say what the router found in our own shape: 404, 405."""
    words = {
        404: ("not_found", "there is no such route; GET /docs lists them"),
        405: ("method_not_allowed", "this route does not answer this method; see GET /docs"),
    }
    phrase = HTTPStatus(error.status_code).phrase
    code, message = words.get(error.status_code, (phrase.lower().replace(" ", "_"), phrase))
    allow = (error.headers or {}).get("Allow")
    return Failure(error.status_code, code, message, allow=allow)
