"""What can go wrong in the server, as one small tree. Only web/failures.py knows status tables.

Law: imports nothing of ours but the contract, so that every room may raise from here.
"""

from dataclasses import dataclass


class ServiceError(Exception):
    """Root of all errors that the server raises on purpose. `message` is for people.

    `code` is a stable machine word; it is API.
    """

    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ClientFault(ServiceError):
    """The request is wrong as a whole. `status` is the HTTP status that fits (400 to 499)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Overloaded(ServiceError):
    """No permit within the time or the queue is full. Try again after `retry_after_seconds`."""

    code = "overloaded"

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(ServiceError):
    """The time that the client gave is over: nobody wants the answer any more."""

    code = "deadline_exceeded"


class Draining(ServiceError):
    """The server is on its way out and takes no new work."""

    code = "draining"


class ServerFault(ServiceError):
    """Our own fault: a lane failed or the pipeline is closed. The message names no internals."""

    code = "server_fault"


class ModelUnavailable(ServiceError):
    """The model cannot be loaded: the server must not start. Says what to do."""

    code = "model_unavailable"


class ParityMissed(ModelUnavailable):
    """The vectors would not be the reference's: the server must not start. Says what to do."""

    code = "parity_missed"


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """Why one image failed alone.

    `code` is one of `embedding_contract.endpoints.ImageErrorCode`, `message` is for people.
    """

    code: str
    message: str


class ImageRejected(Exception):
    """Raised where one image is refused; carries the failure that the answer shows."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.failure = ImageFailure(code, message)
