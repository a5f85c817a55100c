"""Fuzzed as well: references to images elsewhere, and the headers of a request that name things."""

from functools import cache

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ClientFault, ImageRejected
from embedding_service.sources.guard import parse_url, redirected
from embedding_service.sources.multipart import MAX_NAME_CHARACTERS, boundary_of
from embedding_service.sources.raw import is_raw, name_of
from embedding_service.sources.reference import kind_of, parse_object, shown


@cache
def reference_seeds() -> tuple[bytes, ...]:
    return (
        b"https://example.org/a.jpg?x=1#f", b"http://[::ffff:10.0.0.1]:80/a", b"http://0x7f.1/",
        b"s3://albums/2024/cat.jpg", b"gs://photos/dog.jpg", b"s3://albums/../x", b"file:///etc",
        "https://b\u00fccher.example/\u2603".encode(), b"https://u:p@example.org/", b"a/b.jpg",
        b"HTTPS://EXAMPLE.ORG.:443/%zz", b"http://1.2.3.4.5/", b"https://[fe80::1%25eth0]/",
    )  # fmt: skip


def run_reference(data: bytes) -> str:
    """A reference is taken apart or refused; one that was taken apart reads the same again."""
    text = data.decode("utf-8", "replace")
    kind = kind_of(text)
    assert len(shown(text)) <= 200
    try:
        if kind == "object":
            name = parse_object(text, ("s3://albums/", "gs://photos/"))
            assert name.bucket in ("albums", "photos")
            return kind
        target = parse_url(text)
        assert target.url.isascii()
        assert 0 < target.port < 65_536
        assert parse_url(target.url) == target, "the same URL is read in two ways"
        redirected(target, text[-30:])
    except ImageRejected as rejected:
        assert rejected.failure.code == ImageErrorCode.FORBIDDEN_SOURCE  # noqa: PT017
        return f"{kind}, refused"
    return kind


@cache
def header_seeds() -> tuple[bytes, ...]:
    return (
        b'multipart/form-data; boundary="a b"', b"Multipart/Form-Data; boundary=x; charset=utf-8",
        b"image/jpeg", b'attachment; filename="a.jpg"', b"inline; filename*=utf-8''%e2%98%83.jpg",
        b'form-data; filename="' + b"x" * 1100 + b'"', b'form-data; filename="\\"a\\".jpg"',
        b"multipart/form-data; boundary*0=a; boundary*1=b", b"; boundary=x", b"application/json",
    )  # fmt: skip


def run_header(data: bytes) -> str:
    """A header is read or refused."""
    text = data.decode("latin-1")
    words = ["raw" if is_raw(text) else "plain"]
    try:
        words.append("boundary" if boundary_of(text) else "none")
        assert 0 < len(name_of("", text)) <= MAX_NAME_CHARACTERS
    except ClientFault as fault:
        assert fault.status == 400  # noqa: PT017 - either way is right
        words.append(fault.code)
    return ", ".join(words)
