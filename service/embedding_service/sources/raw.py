"""One image as the whole body of a request, while the body comes in. No clock, no disk."""

import re
from typing import Final
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ClientFault, ImageFailure
from embedding_service.sources.multipart import MAX_NAME_CHARACTERS

UNNAMED: Final = "image"
"""The name in the answer of an image that came without one."""
_EXTENDED: Final = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
"""RFC 8187, how browsers and clients write a name that is not ASCII."""


def is_raw(content_type: str) -> bool:
    """Say whether a body of this type is one image. What kind it is, the bytes say."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("image/") or kind == "application/octet-stream"


def name_of(asked: str, disposition: str) -> str:
    """Return the name under which the image is answered.

    Args:
        asked: `?name=` of the request, empty when it is not there.
        disposition: Content-Disposition, of which only the file name counts.

    Raises:
        ClientFault: the name is too long.
    """
    name = asked or _file_name(disposition) or UNNAMED
    if len(name) > MAX_NAME_CHARACTERS:
        message = f"the name is longer than {MAX_NAME_CHARACTERS} characters"
        raise ClientFault(400, "invalid_value", message)
    return name


def _file_name(disposition: str) -> str:
    extended = _EXTENDED.search(disposition)
    if extended is not None:
        return unquote(extended[1], errors="replace")
    options = parse_options_header(disposition)[1] if disposition else {}
    return options.get(b"filename", b"").decode("utf-8", "replace")


class RawReader:
    """Takes the body piece by piece. Over the limit it is counted but not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self._size += len(piece)
        if self._size <= self._max_bytes:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def finish(self) -> bytes | ImageFailure:
        """Return the image, or that it was too large.

        Raises:
            ClientFault: the body is empty.
        """
        if self._size == 0:
            raise ClientFault(400, "no_images", "the body is empty")
        if self._size > self._max_bytes:
            return ImageFailure(
                ImageErrorCode.TOO_LARGE,
                f"the image has {self._size} bytes, the limit is {self._max_bytes}",
            )
        return b"".join(self._pieces)
