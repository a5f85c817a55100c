"""How a request looks on the wire for each server, and a cheap look at what comes back.

A request is a list of buffers: the photographs lie in memory once, and only some twenty bytes in
front of each are new. They make every image that is ever sent another file (a JPEG comment with a
number), so no server can answer from a cache, and the client's memory stays small.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

Buffer = bytes | memoryview
Vector = list[float]

START_OF_IMAGE: Final = b"\xff\xd8"
_COMMENT: Final = b"\xff\xfe\x00\x11"
PREFIX_BYTES: Final = 21
"""A multiple of three: in base64 the prefix and the rest can be put one behind the other."""


def marked(serial: int) -> bytes:
    """Return the first bytes of a JPEG file that says `serial` in a comment."""
    return START_OF_IMAGE + _COMMENT + b"%015d" % serial


def spoiled(serial: int) -> bytes:
    """Return as many bytes that make what follows no image at all."""
    return b"spoilt%015d" % serial


class Wire(Protocol):
    """The request format of one server."""

    path: str
    content_type: str

    def buffers(self, photographs: Sequence[int], serial: int) -> list[Buffer]:
        """Return the body of a request that carries these photographs (indices), in order."""
        ...

    def intact(self, answer: bytes, images: int) -> bool:
        """Say whether an answer looks complete, without parsing it."""
        ...

    def vectors(self, answer: bytes) -> list[Vector]:
        """Parse an answer: one vector for each image, in the order of the request."""
        ...


class Multipart:
    """Sluice and the origin's design: files by multipart/form-data to POST /embed."""

    path = "/embed"
    _boundary = b"sluice-bench-boundary"
    content_type = f"multipart/form-data; boundary={_boundary.decode()}"

    def __init__(self, files: Sequence[bytes], *, spoil: bool = False) -> None:
        self._rests = [memoryview(data)[len(START_OF_IMAGE) :] for data in files]
        self._first = spoiled if spoil else marked
        self._sign = b'"code":"not_an_image"' if spoil else b'":['
        self._heads = [
            b'\r\n--%s\r\nContent-Disposition: form-data; name="files"; '
            b'filename="%02d.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' % (self._boundary, number)
            for number in range(100)
        ]

    def buffers(self, photographs: Sequence[int], serial: int) -> list[Buffer]:
        body: list[Buffer] = []
        for place, photograph in enumerate(photographs):
            body.append(self._heads[place] + self._first(serial + place))
            body.append(self._rests[photograph])
        body.append(b"\r\n--%s--\r\n" % self._boundary)
        return body

    def intact(self, answer: bytes, images: int) -> bool:
        return answer.startswith(b'{"embeddings":') and answer.count(self._sign) == images

    def vectors(self, answer: bytes) -> list[Vector]:
        document = json.loads(answer)
        if document["errors"]:
            raise ValueError(f"the answer has errors: {str(document['errors'])[:200]}")
        embeddings = document["embeddings"]
        return [embeddings[name] for name in sorted(embeddings)]


class DataUris:
    """infinity-emb: OpenAI's shape with data URIs and `modality: image`."""

    path = "/embeddings"
    content_type = "application/json"

    def __init__(self, files: Sequence[bytes]) -> None:
        self._rests = [base64.b64encode(data[len(START_OF_IMAGE) :]) for data in files]

    def buffers(self, photographs: Sequence[int], serial: int) -> list[Buffer]:
        body: list[Buffer] = [b'{"model":"tiny","modality":"image","input":[']
        for place, photograph in enumerate(photographs):
            first = base64.b64encode(marked(serial + place))
            body.append((b',"' if place else b'"') + b"data:image/jpeg;base64," + first)
            body += [self._rests[photograph], b'"']
        body.append(b"]}")
        return body

    def intact(self, answer: bytes, images: int) -> bool:
        return answer.count(b'"embedding":[') == images

    def vectors(self, answer: bytes) -> list[Vector]:
        rows: list[Mapping[str, Any]] = json.loads(answer)["data"]
        return [row["embedding"] for row in sorted(rows, key=lambda row: int(row["index"]))]


class Base64List:
    """The LitServe program of peers/litserve_app.py: {"images": [base64, ...]}."""

    path = "/predict"
    content_type = "application/json"

    def __init__(self, files: Sequence[bytes]) -> None:
        self._rests = [base64.b64encode(data[len(START_OF_IMAGE) :]) for data in files]

    def buffers(self, photographs: Sequence[int], serial: int) -> list[Buffer]:
        body: list[Buffer] = [b'{"images":[']
        for place, photograph in enumerate(photographs):
            first = base64.b64encode(marked(serial + place))
            body += [(b',"' if place else b'"') + first, self._rests[photograph], b'"']
        body.append(b"]}")
        return body

    def intact(self, answer: bytes, images: int) -> bool:
        return answer.startswith(b'{"embeddings":[') and answer.count(b"[") == images + 1

    def vectors(self, answer: bytes) -> list[Vector]:
        rows: list[Vector] = json.loads(answer)["embeddings"]
        return rows


def wire_named(name: str, files: Sequence[bytes]) -> Wire:
    """Return the wire `multipart`, `spoiled`, `data-uris` or `base64-list`."""
    match name:
        case "multipart":
            return Multipart(files)
        case "spoiled":
            return Multipart(files, spoil=True)
        case "data-uris":
            return DataUris(files)
        case "base64-list":
            return Base64List(files)
    raise ValueError(f"no wire is called {name!r}")
