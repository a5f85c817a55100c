"""What is fuzzed: each takes bytes and ends in a value or in the documented error, never else."""

import asyncio
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from hypothesis import strategies as st
from PIL import Image

from embedding_contract.endpoints import ImageErrorCode
from embedding_contract.tuning import (
    REJECTION_REASONS,
    Setting,
    TuningFile,
    TuningRejected,
    dump_tuning,
    parse_tuning,
)
from embedding_service.errors import ClientFault, ImageFailure, ImageRejected
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.profile import Profile
from embedding_service.sources.folder import FolderSource
from embedding_service.sources.inline import read_image_text
from embedding_service.sources.multipart import UploadReader, boundary_of
from embedding_service.web.items import sort_items
from embedding_service.web.schemas import EmbeddingsRequest, NamesRequest, read_shape
from fuzz.addresses import header_seeds, reference_seeds, run_header, run_reference
from fuzz.mutations import mutated
from load.photographs import photographs
from parity.pictures import forms

MAX_PIXELS: Final = 1_000_000
MAX_BYTES: Final = 1 << 20
CODES: Final = frozenset(
    value for name, value in vars(ImageErrorCode).items() if not name.startswith("_")
)
Strategy = st.SearchStrategy[bytes]


@dataclass(frozen=True)
class Target:
    """`run` returns a word for what came out; whatever it raises is a fault.

    `growth` is how many bytes the cases may add to the most memory that the process ever held.
    """

    name: str
    seeds: Callable[[], tuple[bytes, ...]]
    run: Callable[[bytes], str]
    cases: int
    growth: int = 64 << 20
    special: Strategy | None = None

    @property
    def strategy(self) -> Strategy:
        """Damaged seeds, and what is made for this target alone."""
        damaged = mutated(self.seeds())
        return damaged if self.special is None else st.one_of(damaged, self.special)


def _failure(failure: ImageFailure) -> str:
    assert failure.code in CODES
    assert 0 < len(failure.message) < 500
    return failure.code


# Pictures


@cache
def picture_seeds() -> tuple[bytes, ...]:
    photograph = Image.open(io.BytesIO(photographs(1)[0].data)).convert("RGB").resize((41, 27))
    return tuple(data for kind in forms(photograph).values() for data in kind.values())


_PROFILES: Final = (
    Profile(size=(32, 32)),
    Profile(size=(32, 32), resize_mode="longest", interpolation="bilinear"),
    Profile(size=(32, 32), resize_mode="squash", antialias=False),
)


def run_picture(data: bytes) -> str:
    profile = _PROFILES[len(data) % 3]
    try:
        pixels = prepare(data, profile, MAX_PIXELS)
    except ImageRejected as rejected:
        return _failure(rejected.failure)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    return "pixels"


# Multipart bodies: the first byte says how the body is cut


def _part(name: str, data: bytes, extra: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n{extra}\r\n'
    return b"--edge\r\n" + head.encode() + data + b"\r\n"


@cache
def multipart_seeds() -> tuple[bytes, ...]:
    end = b"--edge--\r\n"
    kind = "Content-Type: image/jpeg\r\n"
    return (
        b"\x07" + _part("a.jpg", b"\xff\xd8 data", kind) + _part("b.png", b"x" * 900) + end,
        b"\x01" + _part("ü ☃.jpg", b"\r\n--edg\r\n--", kind) + end + b"after the end",
        b"\xff" + b"before\r\n" + _part("", b"") + _part("c", b"") + end,
        b"\x20" + b'--edge\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' + end,
        b"\x03" + b"".join(_part(f"{number}", b"y" * number) for number in range(40)) + end,
    )


def run_multipart(data: bytes) -> str:
    step = max(data[0], 1) if data else 1
    cut, whole = _read_body(data[1:], step), _read_body(data[1:], len(data) + 1)
    assert cut == whole, "the answer depends on how the network cuts the body"
    return cut if isinstance(cut, str) else "files"


def _read_body(body: bytes, step: int) -> object:
    try:
        boundary_of("multipart/form-data; boundary=" + body[:9].decode("latin-1"))
    except ClientFault as fault:
        assert fault.status == 400  # noqa: PT017 - either way is right
    reader = UploadReader(b"edge", 16, 512)
    try:
        for start in range(0, len(body), step):
            reader.feed(body[start : start + step])
        return [(upload.name, upload.image) for upload in reader.finish()]
    except ClientFault as fault:
        assert fault.status in (400, 413)  # noqa: PT017
        assert len(fault.message) < 500  # noqa: PT017
        return fault.code


# JSON requests

_DOCUMENTS: Final[tuple[dict[str, Any], ...]] = (
    {"input": "a cat", "model": "fake", "encoding_format": "base64", "dimensions": 4, "user": "u"},
    {"input": ["a", {"text": "b"}, {"image": "data:image/png;base64,AAAA"}, "data:,x"]},
    {"input": ["AAAA", "/9j/"], "modality": "image"},
    {"images": ["a.jpg", "b/c.jpg", "../d"]},
    {"input": [["nested"], None, 1.5, {"image": None}]},
)
_WORDS: Final = st.sampled_from(
    ["input", "text", "image", "images", "model", "dimensions", "base64", "data:,", "https://x"]
)
_FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _FLOATS
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | _WORDS,
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(_WORDS | st.text("abc", max_size=3), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
_REQUESTS: Final = st.fixed_dictionaries(
    {},
    optional={
        "input": _VALUES | st.lists(_WORDS | _VALUES, max_size=10),
        "images": st.lists(_WORDS, max_size=5) | _VALUES,
        "model": st.just("fake") | _VALUES,
        "encoding_format": st.sampled_from(["float", "base64"]) | _VALUES,
        "dimensions": st.integers(-1, 10) | _VALUES,
        "modality": st.sampled_from(["text", "image"]) | _VALUES,
    },
).map(orjson.dumps)


@cache
def json_seeds() -> tuple[bytes, ...]:
    deep = b'{"input": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    large = b'{"input": "a", "dimensions": ' + b"9" * 400 + b"}"
    lone = b'{"input": "\\ud800", "images": ["\\udcff"]}'
    return (*(orjson.dumps(document) for document in _DOCUMENTS), deep, large, lone)


def run_json(data: bytes) -> str:
    outcomes = []
    for shape in (EmbeddingsRequest, NamesRequest):
        try:
            wanted = read_shape(data, shape)
            if isinstance(wanted, EmbeddingsRequest):
                sort_items(wanted.input, 8, strings_are_images=wanted.modality == "image")
        except ClientFault as fault:
            assert fault.status in (400, 413)  # noqa: PT017 - either way is right
            assert len(fault.message) < 2000  # noqa: PT017
            outcomes.append(fault.code)
        else:
            return "request"
    return outcomes[0]


# Data URIs and base64


@cache
def text_seeds() -> tuple[bytes, ...]:
    return (
        b"data:image/jpeg;base64,/9j/4AAQSkZJRg==", b"DATA:;BASE64,AAAA", b"data:,x", b"AAAA",
        b"https://example.org/a.jpg", b"s3://bucket/key", b"data:image/png;a=b;c=d;base64,",
        b"AA==", b"A" * 4000, "data:image/png;base64,\u00fc\u2603".encode(),
    )  # fmt: skip


def run_text(data: bytes) -> str:
    found = read_image_text(data.decode("utf-8", "surrogateescape"), 1000)
    if isinstance(found, ImageFailure):
        return _failure(found)
    assert len(found) <= 1000
    return "bytes"


# The tuning file


@cache
def tuning_seeds() -> tuple[bytes, ...]:
    plain = TuningFile(3, Setting(2, 8))
    full = TuningFile(9, Setting(4, 16, 2, "cpu"), {"a-1": Setting(1, 1), "b": Setting(32, 1024)})
    deep = b'{"version": 1, "pods": ' + b'{"a": ' * 3000 + b"1" + b"}" * 3001
    return (dump_tuning(plain).encode(), dump_tuning(full).encode(), deep, b"9" * 6000, b"[NaN]")


_NUMBERS: Final = st.integers(-1, 40) | st.sampled_from([1024, 1025, 2**53, True, None, "2", 1.0])
_SETTINGS: Final = st.fixed_dictionaries(
    {"numStreams": _NUMBERS, "semaphoreSize": _NUMBERS},
    optional={"decodeWorkers": _NUMBERS, "decodeDevice": st.sampled_from(["cpu", "tpu", 1])},
)
_FILES: Final = st.fixed_dictionaries(
    {"version": st.sampled_from([1, 1, 1, 2, True]), "generation": _NUMBERS, "default": _SETTINGS},
    optional={"pods": st.dictionaries(st.text(max_size=5), _SETTINGS, max_size=3)},
).map(lambda document: json.dumps(document).encode())


def run_tuning(data: bytes) -> str:
    try:
        file = parse_tuning(data)
    except TuningRejected as rejected:
        assert rejected.reason in REJECTION_REASONS  # noqa: PT017 - either way is right
        return rejected.reason
    assert parse_tuning(dump_tuning(file)) == file
    return "file"


# Names in the folder

INSIDE, SECRET = b"inside", b"secret"


@cache
def _folder() -> FolderSource:
    place = Path(tempfile.mkdtemp(prefix="names-"))
    folder = place / "images"
    (folder / "sub").mkdir(parents=True)
    (place / "secret.jpg").write_bytes(SECRET)
    for name in ("a.jpg", "sub/b.jpg", "ü.jpg"):
        (folder / name).write_bytes(INSIDE)
    (folder / "out").symlink_to(place)
    (folder / "secret.jpg").symlink_to(place / "secret.jpg")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    return FolderSource(folder, 100)


@cache
def name_seeds() -> tuple[bytes, ...]:
    return (
        b"a.jpg", b"sub/b.jpg", "ü.jpg".encode(), b"../secret.jpg", b"out/secret.jpg",
        b"secret.jpg", b"loop", b"loop/a", b"pipe", b"sub", b"sub/../a.jpg", b"/etc/passwd",
        b"a.jpg\0", b"%2e%2e/secret.jpg", b"a" * 300, b"sub/" * 200, b".", b"\xff\xfe", b"a.jpg/x",
    )  # fmt: skip


def run_names(data: bytes) -> str:
    try:
        name = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        name = data.decode("latin-1")
    (found,) = asyncio.run(_folder().read([name]))
    if isinstance(found, ImageFailure):
        return _failure(found)
    assert found == INSIDE, "a name led out of the folder"
    return "bytes"


TARGETS: Final = (
    Target("pictures", picture_seeds, run_picture, 5000, growth=128 << 20),
    Target("multipart", multipart_seeds, run_multipart, 1500),
    Target("json", json_seeds, run_json, 1500, special=_REQUESTS | _VALUES.map(orjson.dumps)),
    Target("data-uris", text_seeds, run_text, 1000),
    Target("tuning-file", tuning_seeds, run_tuning, 1000, special=_FILES),
    Target("names", name_seeds, run_names, 500),
    Target("references", reference_seeds, run_reference, 1000),
    Target("headers", header_seeds, run_header, 700),
)  # fmt: skip
"""Cases are those of the unit run; `make fuzz` goes by time."""


def target_named(name: str) -> Target:
    """Return the target of that name."""
    return next(target for target in TARGETS if target.name == name)
