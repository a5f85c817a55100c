"""Uploads out of multipart bodies."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ClientFault, ImageFailure
from embedding_service.sources.multipart import UploadReader, boundary_of

BOUNDARY = b"edge"
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters='"\\'), min_size=1
).filter(lambda name: len(name) <= 100 and name[1:3] != ":\\")


def part(data: bytes, disposition: bytes = b'form-data; name="f"; filename="a.jpg"') -> bytes:
    return b"--edge\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + data + b"\r\n"


def read(body: bytes, step: int = 1 << 20, files: int = 9, size: int = 1000) -> list[object]:
    reader = UploadReader(BOUNDARY, files, size)
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
    return [(upload.name, upload.image) for upload in reader.finish()]


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.binary(max_size=300)), min_size=1, max_size=5),
       st.integers(1, 400))  # fmt: skip
def test_what_a_client_sends_comes_back_however_it_is_cut(
    files: list[tuple[str, bytes]], step: int
) -> None:
    request = httpx.Request(
        "POST", "http://x", files=[("files", file) for file in files],
        headers={"content-type": "multipart/form-data; boundary=edge"},
    )  # fmt: skip
    assert read(request.read(), step) == files


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_text_before_the_first_boundary_is_refused_however_it_is_cut(step: int) -> None:
    with pytest.raises(ClientFault, match="does not start with the boundary"):
        read(b"\r\nafter --edge\r\n" + part(b"x") + b"--edge--", step)
    assert read(b"\r\n\r\n" + part(b"x") + b"--edge--", step) == [("a.jpg", b"x")]


def test_data_may_look_like_a_boundary() -> None:
    data = b"\r\n--edg\r\n--\r\n\r\n-edge--"
    assert read(part(data) + b"--edge--\r\n") == [("a.jpg", data)]


def test_a_file_may_be_empty() -> None:
    assert read(part(b"") + b"--edge--") == [("a.jpg", b"")]


def test_a_file_over_its_limit_fails_alone_and_is_not_kept() -> None:
    body = part(bytes(11)) + part(bytes(10), b'form-data; name="f"; filename="b.jpg"')
    (first, second) = read(body + b"--edge--\r\n", step=3, size=10)
    assert first == ("a.jpg", ImageFailure("too_large", "the image has 11 bytes, the limit is 10"))
    assert second == ("b.jpg", bytes(10))


def test_too_many_files_are_refused_before_the_rest_is_read() -> None:
    with pytest.raises(ClientFault) as caught:
        read(part(b"1") + part(b"2") + part(b"3"), files=2)
    assert (caught.value.status, caught.value.code) == (413, "too_many_images")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (part(b"x"), "cut off"),
        (b"", "cut off"),
        (b"--other--\r\n", "boundary"),
        (b"nonsense", "boundary"),
        (b"--edge\r\n\r\nx\r\n--edge--", "Content-Disposition"),
        (part(b"x", b'form-data; name="field"') + b"--edge--", "'field' is not a file"),
        (part(b"x", b'form-data; name="f"; filename=""') + b"--edge--", "is not a file"),
        (part(b"x", b'attachment; filename="a"') + b"--edge--", "form-data"),
        (part(b"x", b'form-data; name="f"; filename="\xff"') + b"--edge--", "UTF-8"),
        (part(b"x", b'form-data; filename="' + b"a" * 1025 + b'"') + b"--edge--", "longer"),
        (b"--edge\r\nA: " + b"b" * 100_000, "header size"),
    ],
)
def test_a_malformed_body_is_refused_with_the_reason(body: bytes, words: str) -> None:
    with pytest.raises(ClientFault) as caught:
        read(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed_multipart")
    assert words in caught.value.message


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(noise: bytes, step: int) -> None:
    try:
        assert isinstance(read(b"--edge" + noise, step), list)
    except ClientFault as fault:
        assert fault.status in {400, 413}  # noqa: PT017 - either way is right


def test_the_boundary_is_found() -> None:
    assert boundary_of('Multipart/Form-Data; charset=utf-8; boundary="a b"') == b"a b"
    assert boundary_of("application/json") is None
    assert boundary_of("") is None


@pytest.mark.parametrize("end", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_boundary_that_cannot_be_is_refused(end: str) -> None:
    with pytest.raises(ClientFault, match="boundary"):
        boundary_of(f"multipart/form-data{end}")
