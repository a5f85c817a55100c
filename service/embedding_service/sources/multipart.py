"""Uploaded files out of a multipart/form-data body, while the body comes in. No clock, no disk.

Files stay in memory: the body is bounded by max_request_bytes, and the root is read-only. A file
over its limit is counted but not kept.
"""

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ClientFault, ImageFailure

MAX_NAME_CHARACTERS: Final = 1024
"""A file name is repeated in the answer, so it is bounded."""
_MAX_BOUNDARY_BYTES: Final = 70  # RFC 2046, 5.1.1


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: its file name and its bytes, or why they were not kept."""

    name: str
    image: bytes | ImageFailure


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary when `content_type` is multipart/form-data, else None.

    Raises:
        ClientFault: it is multipart/form-data with no usable boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY_BYTES:
        raise _malformed("the Content-Type has no boundary of 1 to 70 characters")
    return boundary


class UploadReader:
    """Takes the body piece by piece and gives its files. Every part must be a file with a name."""

    def __init__(self, boundary: bytes, max_files: int, max_file_bytes: int) -> None:
        self._max_files = max_files
        self._max_file_bytes = max_file_bytes
        self._uploads: list[Upload] = []
        self._ended = False
        self._opening = b"--" + boundary
        self._held: bytes | None = b""
        self._new_part()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._new_part,
                "on_header_field": self._add_to_field,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._check_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            ClientFault: the body is malformed, has a part that is not a file, or too many files.
        """
        if self._held is not None:
            piece = self._begin(self._held + piece)
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def _begin(self, start: bytes) -> bytes:
        """Hold the first bytes until they are the first boundary, and nothing but it.

        The parser skips what comes before, and how far depends on where the network cut the body.
        """
        start = start.lstrip(b"\r\n")
        if self._opening.startswith(start) and len(start) < len(self._opening):
            self._held = start
            return b""
        if not start.startswith(self._opening):
            raise _malformed("the body does not start with the boundary of its Content-Type")
        self._held = None
        return start

    def finish(self) -> list[Upload]:
        """Return the files in the order of the body, which has ended.

        Raises:
            ClientFault: the body ended too early.
        """
        if not self._ended:
            raise _malformed("the body ends before its last boundary: was it cut off?")
        return self._uploads

    # What the parser says; data is given as a span of the piece.

    def _new_part(self) -> None:
        self._field, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._size = 0
        self._pieces: list[bytes] = []

    def _add_to_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _check_headers(self) -> None:
        if len(self._uploads) >= self._max_files:
            message = f"the request has more than {self._max_files} images, which is the limit"
            raise ClientFault(413, "too_many_images", message)
        self._name = _file_name(self._headers.get(b"content-disposition", b""))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= self._max_file_bytes:
            self._pieces.append(data[start:end])
        else:
            self._pieces.clear()

    def _end_part(self) -> None:
        if self._size > self._max_file_bytes:
            image: bytes | ImageFailure = ImageFailure(
                ImageErrorCode.TOO_LARGE,
                f"the image has {self._size} bytes, the limit is {self._max_file_bytes}",
            )
        else:
            image = b"".join(self._pieces)
        self._uploads.append(Upload(self._name, image))
        self._pieces = []

    def _end(self) -> None:
        self._ended = True


def _file_name(disposition: bytes) -> str:
    """Return the file name that a part's Content-Disposition gives."""
    kind, options = parse_options_header(disposition.decode("latin-1").strip())
    if kind != b"form-data":
        raise _malformed("a part has no Content-Disposition of form-data")
    if not options.get(b"filename"):
        field = options.get(b"name", b"").decode("utf-8", "replace")
        raise _malformed(f"the field {field!r} is not a file: send files with a file name")
    try:
        name = options[b"filename"].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("a file name is not UTF-8") from error
    if len(name) > MAX_NAME_CHARACTERS:
        raise _malformed(f"a file name is longer than {MAX_NAME_CHARACTERS} characters")
    return name


def _malformed(message: str) -> ClientFault:
    return ClientFault(400, "malformed_multipart", message)
