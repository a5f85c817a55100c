"""Images inside the request: data URIs, base64 text and uploaded bytes. Pure.

Base64 is read strictly: what a lenient decoder skips today becomes another image tomorrow.
"""

import binascii
import re
from typing import Final

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageFailure

DATA_URI_PREFIX: Final = "data:"
_MAX_HEADER_CHARACTERS: Final = 256
"""A media type and its parameters are short; a comma beyond this belongs to the data."""
_REFERENCE: Final = re.compile(r"(https?|s3|gs|file|ftp)://\S*", re.IGNORECASE)


def is_reference(text: str) -> bool:
    """Say whether `text` is an address of something elsewhere, as `https://...` or `s3://...`."""
    return _REFERENCE.fullmatch(text) is not None


def read_uploaded(data: bytes, max_bytes: int) -> bytes | ImageFailure:
    """Return uploaded bytes unless there are too many of them."""
    return data if len(data) <= max_bytes else _too_large(len(data), max_bytes)


def read_image_text(text: str, max_bytes: int) -> bytes | ImageFailure:
    """Return the image that `text` holds: a data URI, or plain base64.

    Args:
        text: what the client sent; no address of an image elsewhere, see `is_reference`.
        max_bytes: size of the encoded image at most, checked before anything is decoded.
    """
    if text[: len(DATA_URI_PREFIX)].lower() == DATA_URI_PREFIX:
        return read_data_uri(text, max_bytes)
    return read_base64(text, max_bytes)


def read_data_uri(uri: str, max_bytes: int) -> bytes | ImageFailure:
    """Return the bytes of `data:[media type];base64,...`.

    The media type is not trusted: the decoder looks at the bytes.
    """
    comma = uri.find(",", 0, _MAX_HEADER_CHARACTERS)
    if comma < 0:
        return _not_an_image("the data URI has no comma between its media type and its data")
    if not uri[:comma].lower().endswith(";base64"):
        return _not_an_image("the data URI is not base64: write data:image/jpeg;base64,...")
    return read_base64(uri[comma + 1 :], max_bytes)


def read_base64(text: str, max_bytes: int) -> bytes | ImageFailure:
    """Return the bytes of strict base64: standard alphabet, padded, no line breaks."""
    size = len(text) // 4 * 3 - text[-2:].count("=")
    if size > max_bytes:
        return _too_large(size, max_bytes)
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error, and characters outside ASCII
        return _not_base64("it has characters outside ASCII" if not text.isascii() else str(error))
    # Some versions of Python let surplus padding pass.
    return data if len(data) == size else _not_base64("its padding is wrong")


def _not_base64(reason: str) -> ImageFailure:
    return _not_an_image(
        f"not valid base64: {reason}; use the standard alphabet with padding, no line breaks"
    )


def _not_an_image(message: str) -> ImageFailure:
    return ImageFailure(ImageErrorCode.NOT_AN_IMAGE, message)


def _too_large(size: int, max_bytes: int) -> ImageFailure:
    return ImageFailure(
        ImageErrorCode.TOO_LARGE, f"the image has {size} bytes, the limit is {max_bytes}"
    )
