"""What a reference to an image names: an address elsewhere, or a file in the folder. Pure.

An object is read with the server's own credentials, so clients reach only what lies below a
prefix that the server was given.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from embedding_service.sources.guard import forbidden

Kind = Literal["url", "object", "other", "name"]

MAX_KEY_BYTES: Final = 1024
"""The limit of S3 and of Google alike."""
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_KINDS: Final[dict[str, Kind]] = {"http": "url", "https": "url", "s3": "object", "gs": "object"}
_OBJECT: Final = re.compile(r"(s3|gs)://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ObjectName:
    """One object of a store: `scheme` is s3 or gs."""

    scheme: Literal["s3", "gs"]
    bucket: str
    key: str


def kind_of(reference: str) -> Kind:
    """Return what `reference` is; `other` is an address that nobody here can read."""
    scheme = _SCHEME.match(reference)
    return "name" if scheme is None else _KINDS.get(scheme[1].lower(), "other")


def shown(reference: str) -> str:
    """Return `reference` for a message: short, without what may be a password or a signature."""
    scheme = _SCHEME.match(reference)
    if scheme is None:
        return reference[:200]
    host, slash, path = reference[scheme.end() :].partition("/")
    path = re.split(r"[?#]", path)[0]
    return f"{scheme[0]}{host.rpartition('@')[2].partition('?')[0]}{slash}{path}"[:200]


def parse_object(reference: str, prefixes: Sequence[str]) -> ObjectName:
    """Take an s3:// or gs:// reference apart. A `?`, `#` or `%` is part of the key.

    Args:
        reference: the reference as the client gave it.
        prefixes: what may be read, each with a slash at its end.

    Raises:
        ImageRejected: forbidden_source; it is malformed, or below none of the prefixes.
    """
    if not prefixes:
        raise forbidden("this server reads no objects: EMBEDDING_OBJECT_PREFIXES is not set")
    scheme, separator, rest = reference.partition("://")
    found = _OBJECT.fullmatch(scheme.lower() + separator + rest)
    if found is None:
        raise forbidden("write an object as s3://bucket/key or gs://bucket/key")
    name = ObjectName("s3" if found[1] == "s3" else "gs", found[2], found[3])
    _check_key(name.key)
    if not f"{found[1]}://{name.bucket}/{name.key}".startswith(tuple(prefixes)):
        raise forbidden(
            "the object lies below none of the prefixes that this server may read, "
            "EMBEDDING_OBJECT_PREFIXES"
        )
    return name


def _check_key(key: str) -> None:
    """Refuse keys that a client library would change on the way: they would pass a prefix."""
    if any(segment in {"", ".", ".."} for segment in key.split("/")):
        raise forbidden("a key has no empty part, no part . or .., and no slash at its ends")
    if any(character < " " or character == "\x7f" for character in key):
        raise forbidden("a key has no control characters")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise forbidden("the key has characters that no key has") from None
    if size > MAX_KEY_BYTES:
        raise forbidden(f"a key has at most {MAX_KEY_BYTES} bytes")
