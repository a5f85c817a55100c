"""How URLs are taken apart, and what is refused before anything is resolved."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ImageRejected
from embedding_service.sources.guard import Policy, parse_host, parse_url, redirected

PUBLIC = Policy()


def refused(url: str, policy: Policy = PUBLIC) -> str:
    """Return why `url` is refused; fail when it is not."""
    with pytest.raises(ImageRejected) as caught:
        policy.check_target(parse_url(url))
    assert caught.value.failure.code == "forbidden_source"
    return caught.value.failure.message


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://a.example/b.jpg", "a.example", 443, "/b.jpg"),
        ("HTTP://A.Example.:80", "a.example", 80, "/"),
        ("https://a.example?x=1#part", "a.example", 443, "/?x=1"),
        ("https://a.example/ü%20?q=%2F&s=a+b", "a.example", 443, "/%C3%BC%20?q=%2F&s=a+b"),
        ("https://8.8.8.8/x", "8.8.8.8", 443, "/x"),
        ("https://[2606:4700::1111]:443/x", "2606:4700::1111", 443, "/x"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://a_b.s3.example/", "a_b.s3.example", 443, "/"),
    ],
)
def test_a_proper_url_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    target = parse_url(url)
    PUBLIC.check_target(target)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert parse_url(target.url) == target


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a.example/x", "only http"),
        ("file:///etc/passwd", "only http"),
        ("//a.example/x", "only http"),
        ("gopher://a.example/", "only http"),
        ("http:a.example", "host name"),
        ("http:///x", "host name"),
        ("https://user:secret@a.example/", "user"),
        ("https://a.example@127.0.0.1/", "user"),
        ("https://@a.example/", "user"),
        ("https://a.example:99999/", "malformed"),
        ("https://a.example:0/", "malformed"),
        ("https://a.example:٨٠/", "malformed"),
        ("https://a.example:-1/", "malformed"),
        ("https://[::1]x:443/", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://[fe80::1%25eth0]/", "malformed"),
        ("https://[::ffff:127.0.0.1.5]/", "the URL"),
        ("https://[v1.x]/", "malformed"),
        ("https://a.example\\@127.0.0.1/", "backslash"),
        ("https://a.example /x", "blank"),
        ("https://a.example/\r\nHost: b", "blank"),
        ("https://a\t.example/", "blank"),
        ("https://%31%32%37.0.0.1/", "percent"),
        ("https://bücher.example/", "ASCII"),
        ("https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "host name"),
        ("https://127\u30020\u30020\u30021/", "host name"),
        ("https://\u24d4xample.com/", "host name"),
        ("https://-a.example/", "host name"),
        ("https://a..example/", "host name"),
        ("https://a.example../", "host name"),
        ("https://" + "a" * 64 + ".example/", "host name"),
        ("https://a.example/" + "x" * 8192, "longer"),
        ("https://2130706433/", "four decimal"),
        ("https://0x7f000001/", "four decimal"),
        ("https://0x7f.1/", "four decimal"),
        ("https://0177.0.0.1/", "four decimal"),
        ("https://127.1/", "four decimal"),
        ("https://127.0.0.1.2/", "four decimal"),
        ("https://127.0.0.256/", "four decimal"),
        ("https://a.example.0x7f/", "four decimal"),
        ("https://0x/", "four decimal"),
        ("https://a.example/\ud800", "characters"),
    ],
)
def test_what_parsers_disagree_about_is_refused(url: str, words: str) -> None:
    message = refused(url, Policy("any"))
    assert words in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://localhost/", "not a name of the public internet"),
        ("https://LOCALHOST./", "not a name of the public internet"),
        ("https://a.localhost/", "not a name of the public internet"),
        ("https://kubernetes/", "not a name of the public internet"),
        ("https://clip.albums.svc.cluster.local/", "not a name of the public internet"),
        ("https://metadata.google.internal/", "not a name of the public internet"),
        ("https://a.example:22/", "port 22"),
        ("https://8.8.8.8:6379/", "port 6379"),
        ("http://127.0.0.1/", "not public"),
        ("http://127.0.0.1./", "not public"),
        ("http://[::1]/", "not public"),
        ("http://[::ffff:7f00:1]/", "not public"),
        ("http://[64:ff9b::a9fe:a9fe]/", "not public"),
    ],
)
def test_what_is_not_of_the_public_internet_is_refused(url: str, words: str) -> None:
    assert words in refused(url)


def test_none_fetches_nothing() -> None:
    assert "EMBEDDING_FETCH_URLS" in refused("https://a.example/", Policy("none"))


def test_any_fetches_private_hosts_on_any_port_but_no_metadata() -> None:
    policy = Policy("any")
    for url in ("http://localhost:8000/", "http://minio:9000/a", "http://10.0.0.1:81/"):
        policy.check_target(parse_url(url))
    refused("http://169.254.169.254/latest", policy)
    refused("http://[fd00:ec2::254]/latest", policy)


def test_a_list_of_hosts_means_names_below_them_too() -> None:
    policy = Policy(hosts=("example.org", "8.8.8.8"))
    for host in ("example.org", "a.b.example.org", "8.8.8.8"):
        policy.check_target(parse_url(f"https://{host}/"))
    for host in ("badexample.org", "example.org.evil.example", "1.1.1.1"):
        assert "EMBEDDING_FETCH_HOSTS" in refused(f"https://{host}/", policy)


def test_networks_open_what_is_in_them_on_every_port() -> None:
    policy = Policy(networks=(ip_network("10.1.0.0/16"),))
    policy.check_target(parse_url("http://10.1.2.3:9000/"))
    policy.check_target(parse_url("http://minio:9000/"))
    policy.check_addresses([ip_address("10.1.2.3")], 9000, "minio")
    refused("http://10.2.0.1:9000/", policy)
    with pytest.raises(ImageRejected, match="port 9000"):
        policy.check_addresses([ip_address("8.8.8.8")], 9000, "minio")


def test_every_address_of_a_name_must_be_allowed() -> None:
    good, bad = ip_address("8.8.8.8"), ip_address("10.0.0.1")
    PUBLIC.check_addresses([good], 443, "a.example")
    with pytest.raises(ImageRejected) as caught:
        PUBLIC.check_addresses([good, bad], 443, "a.example")
    assert "10.0.0.1" not in caught.value.failure.message


@pytest.mark.parametrize(
    ("location", "wanted"),
    [
        ("/b?c", "https://a.example/b?c"),
        ("//b.example/x", "https://b.example/x"),
        ("c.jpg", "https://a.example/x/c.jpg"),
        ("http://b.example", "http://b.example/"),
    ],
)
def test_a_redirect_is_read_relative_to_its_page(location: str, wanted: str) -> None:
    assert redirected(parse_url("https://a.example/x/y"), location).url == wanted


@pytest.mark.parametrize("location", ["file:///etc/passwd", "s3://b/k", "http://[", "x" * 9000])
def test_a_redirect_to_something_else_is_refused(location: str) -> None:
    with pytest.raises(ImageRejected):
        redirected(parse_url("https://a.example/x"), location)


@settings(deadline=None, max_examples=500)
@given(st.text(max_size=40), st.sampled_from(["http://", "https://", ""]))
def test_any_text_is_a_url_or_refused(text: str, scheme: str) -> None:
    try:
        target = parse_url(scheme + text)
    except ImageRejected:
        return
    assert target.path.isascii()
    assert target.host == target.host.lower()
    assert " " not in target.path
    assert parse_url(target.url) == target


PARTS = st.one_of(
    st.integers(0, 2**33).map(str),
    st.integers(0, 2**33).map(hex),
    st.integers(0, 2**33).map(lambda number: f"0{number:o}"),
)


@settings(deadline=None, max_examples=500)
@given(st.lists(PARTS, min_size=1, max_size=5))
def test_a_number_is_never_another_address_than_it_looks(parts: list[str]) -> None:
    """The C library reads `0x7f.1` as 127.0.0.1: the guard reads it plainly or not at all."""
    host = ".".join(parts)
    try:
        _, address = parse_host(host)
    except ImageRejected:
        return
    assert address == ip_address(host)
    assert socket.inet_aton(host) == address.packed


@settings(deadline=None)
@given(st.ip_addresses())
def test_a_plain_address_is_read_as_itself(address: object) -> None:
    host = f"[{address}]" if ":" in str(address) else str(address)
    assert parse_url(f"https://{host}/").address == address
