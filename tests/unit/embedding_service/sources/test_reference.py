"""What a reference names, which objects may be read, and what a message shows of it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.allowed import parse_hosts, parse_networks, parse_prefixes
from embedding_service.errors import ImageRejected
from embedding_service.sources.reference import ObjectName, kind_of, parse_object, shown

PREFIXES = parse_prefixes(["s3://albums/2024/", "gs://photos"])


def refused(reference: str, *prefixes: str) -> str:
    with pytest.raises(ImageRejected) as caught:
        parse_object(reference, prefixes or PREFIXES)
    assert caught.value.failure.code == "forbidden_source"
    return caught.value.failure.message


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("https://a/b", "url"), ("HTTP://a", "url"), ("s3://b/k", "object"), ("GS://b/k", "object"),
        ("ftp://a", "other"), ("jar:http://a", "name"), ("a.jpg", "name"), ("2024/a.jpg", "name"),
        ("data:image/png;base64,AAAA", "name"), ("", "name"), ("a b://c", "name"),
    ],
)  # fmt: skip
def test_what_a_reference_is(reference: str, kind: str) -> None:
    assert kind_of(reference) == kind


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("s3://albums/2024/a.jpg", ObjectName("s3", "albums", "2024/a.jpg")),
        ("S3://albums/2024/a b/ü?x#y%2e", ObjectName("s3", "albums", "2024/a b/ü?x#y%2e")),
        ("gs://photos/x", ObjectName("gs", "photos", "x")),
    ],
)
def test_an_object_below_a_prefix_is_taken(reference: str, name: ObjectName) -> None:
    assert parse_object(reference, PREFIXES) == name


@pytest.mark.parametrize(
    "reference",
    ["s3://albums/2023/a.jpg", "s3://albums/2024-private/a", "s3://albums2024/a", "gs://albums/2024/a",
     "s3://photos/x", "s3://albums/x/2024/a", "gs://photos2/x"],
)  # fmt: skip
def test_an_object_elsewhere_is_refused(reference: str) -> None:
    assert "EMBEDDING_OBJECT_PREFIXES" in refused(reference)


@pytest.mark.parametrize(
    "reference",
    ["s3://albums/2024/../2023/a", "s3://albums/2024/./a", "s3://albums/2024//a", "s3://albums/",
     "s3://albums/2024/", "s3://albums", "s3:///2024/a", "s3://user@albums/2024/a",
     "s3://albums:80/2024/a", "s3://al/../albums/2024/a", "s3://ALBUMS/2024/a",
     "s3://albums/2024/a\nb", "s3://albums/2024/\x00", "s3://albums/2024/\ud800",
     "s3://albums/2024/" + "x" * 1020],
)  # fmt: skip
def test_a_key_that_somebody_could_read_differently_is_refused(reference: str) -> None:
    refused(reference)


def test_without_prefixes_the_setting_is_named() -> None:
    with pytest.raises(ImageRejected, match="EMBEDDING_OBJECT_PREFIXES is not set"):
        parse_object("s3://albums/a", ())


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_taken_lies_below_its_prefix(key: str) -> None:
    try:
        name = parse_object(f"s3://albums/{key}", PREFIXES)
    except ImageRejected:
        return
    assert name.bucket == "albums"
    assert name.key.startswith("2024/")
    assert ".." not in name.key.split("/")


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("https://u:p@a.example/b.jpg?X-Amz-Signature=s#f", "https://a.example/b.jpg"),
        ("https://a.example?token=s", "https://a.example"),
        ("s3://b/k", "s3://b/k"),
        ("2024/a.jpg", "2024/a.jpg"),
    ],
)
def test_a_message_shows_neither_passwords_nor_signatures(reference: str, text: str) -> None:
    assert shown(reference) == text


def test_prefixes_end_with_a_slash() -> None:
    assert PREFIXES == ("s3://albums/2024/", "gs://photos/")


@pytest.mark.parametrize("text", ["albums/2024", "s3://", "s3:///a", "https://a/", "s3://A/"])
def test_a_prefix_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_prefixes([text])


def test_hosts_and_networks_are_read() -> None:
    assert parse_hosts(["Example.org", ".a.example."]) == ("example.org", "a.example")
    assert [str(one) for one in parse_networks(["10.0.0.0/8", "::1/128"])] == [
        "10.0.0.0/8",
        "::1/128",
    ]
    for text in ("a..b", "*", "https://a"):
        with pytest.raises(ValueError, match=re.escape(text)):
            parse_hosts([text])
    with pytest.raises(ValueError, match="host bits"):
        parse_networks(["10.0.0.1/8"])
