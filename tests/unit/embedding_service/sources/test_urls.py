"""Fetching from a real HTTP server that behaves well, badly, and worse."""

import asyncio
import gzip
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import uvloop

from embedding_service.errors import ImageFailure
from embedding_service.sources.reading import Sources
from embedding_service.sources.resolver import Resolve, SystemResolver
from fakes.names import Names
from fakes.picture_host import Answer, PictureHost, picture_host, plain, raw, redirect
from fakes.waiting import until
from fakes.web import settings_with

LIMIT = 1000
HEAD = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def scene(
    resolve: Resolve | None = None, **values: Any
) -> AsyncIterator[tuple[PictureHost, Sources]]:
    """Give a host on loopback, and sources that may fetch from it."""
    fields = {"fetch_urls": "any", "max_image_bytes": LIMIT} | values
    async with picture_host() as host:
        sources = Sources(settings_with(**fields), resolve=resolve)
        try:
            yield host, sources
        finally:
            await sources.close()


async def read(sources: Sources, url: str) -> bytes | ImageFailure:
    (found,) = await sources.read([url])
    return found


def outcome_of(answer: Answer, **values: Any) -> bytes | ImageFailure:
    """Return what is made of one answer."""

    async def run() -> bytes | ImageFailure:
        async with scene(**values) as (host, sources):
            host.routes["/a.jpg"] = answer
            return await read(sources, host.url("/a.jpg?signature=secret"))

    found = asyncio.run(run())
    if isinstance(found, ImageFailure):
        assert "secret" not in found.message
        assert "a.jpg" not in found.message
    return found


def code_of(answer: Answer, **values: Any) -> str:
    found = outcome_of(answer, **values)
    assert isinstance(found, ImageFailure)
    return found.code


def test_a_picture_is_fetched_as_it_is() -> None:
    picture = bytes(range(256)) * 3
    assert outcome_of(plain(picture)) == picture
    assert outcome_of(plain(b"")) == b""


def test_it_works_on_the_loop_of_the_server() -> None:
    async def run() -> None:
        async with scene(fetch_timeout_seconds=0.3) as (host, sources):
            host.routes |= {"/a": plain(b"x"), "/slow": silent(HEAD)}
            found = await sources.read([host.url("/a"), host.url("/slow"), host.url("/none")])
            assert found[0] == b"x"
            codes = [one.code for one in found if isinstance(one, ImageFailure)]
            assert codes == ["timeout", "not_found"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_the_limit_of_bytes_is_exact() -> None:
    assert outcome_of(plain(bytes(LIMIT))) == bytes(LIMIT)
    assert code_of(plain(bytes(LIMIT + 1))) == "too_large"


def test_a_body_without_a_length_is_read_to_its_end() -> None:
    assert outcome_of(raw(HEAD + b"\r\nabc")) == b"abc"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert outcome_of(raw(chunked)) == b"abc"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("404 Not Found", "not_found"),
        ("410 Gone", "not_found"),
        ("401 Unauthorized", "forbidden_source"),
        ("403 Forbidden", "forbidden_source"),
        ("451 Unavailable For Legal Reasons", "forbidden_source"),
        ("204 No Content", "upstream_error"),
        ("206 Partial Content", "upstream_error"),
        ("300 Multiple Choices", "upstream_error"),
        ("304 Not Modified", "upstream_error"),
        ("400 Bad Request", "upstream_error"),
        ("429 Too Many Requests", "upstream_error"),
        ("500 Internal Server Error", "upstream_error"),
        ("503 Service Unavailable", "upstream_error"),
        ("999 Odd", "upstream_error"),
    ],
)
def test_a_status_becomes_a_code(status: str, code: str) -> None:
    assert code_of(plain(status=status)) == code


BOMB = gzip.compress(bytes(10_000_000))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(
            raw(HEAD + b"Content-Length: 4\r\n\r\nabc"), "upstream_error", id="cut off"
        ),
        pytest.param(plain(b"", length=10**12), "too_large", id="announced"),
        pytest.param(
            plain(b"x", Content_Encoding="gzip"), "upstream_error", id="compressed"
        ),
        pytest.param(
            raw(HEAD + b"Content-Encoding: gzip\r\n\r\n" + BOMB), "upstream_error", id="bomb"
        ),
        pytest.param(
            raw(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n"), "upstream_error", id="te"
        ),
        pytest.param(
            raw(HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "upstream_error",
            id="two lengths",
        ),
        pytest.param(raw(b""), "upstream_error", id="nothing"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "upstream_error", id="not HTTP"),
        pytest.param(raw(HEAD + b"A: " + b"x" * 200_000), "upstream_error", id="long header"),
        pytest.param(raw(HEAD + b"A: b\r\n" * 50_000), "upstream_error", id="many headers"),
        pytest.param(
            raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "upstream_error", id="chunk"
        ),
        pytest.param(plain(status="302 Found"), "upstream_error", id="redirect to nowhere"),
    ],
)  # fmt: skip
def test_a_bad_answer_fails_alone(answer: Answer, code: str) -> None:
    assert code_of(answer) == code


def endless(piece: bytes, head: bytes = b"\r\n") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return answer


def silent(head: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.Event().wait()

    return answer


def test_an_endless_body_ends_at_the_limit() -> None:
    assert code_of(endless(bytes(100))) == "too_large"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 20", HEAD + b"Content-Length: 9\r\n\r\nabc"])
def test_a_slow_answer_ends_in_time(head: bytes) -> None:
    assert code_of(silent(head), fetch_timeout_seconds=0.3) == "timeout"


def test_endless_informational_answers_end_in_time() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert code_of(answer, fetch_timeout_seconds=0.3) == "timeout"


def test_redirects_are_followed_up_to_their_limit() -> None:
    async def run() -> None:
        async with scene(fetch_redirects=2) as (host, sources):
            host.routes |= {
                "/3": redirect("/2"), "/2": redirect(host.url("/1"), "308 Permanent Redirect"),
                "/1": redirect("0?x=1", "303 See Other"), "/0": plain(b"picture"),
                "/loop": redirect("/loop"),
            }  # fmt: skip
            assert await read(sources, host.url("/2")) == b"picture"
            assert host.asked == ["/2", "/1", "/0?x=1"]
            for path in ("/3", "/loop"):
                found = await read(sources, host.url(path))
                assert isinstance(found, ImageFailure)
                assert found.code == "upstream_error"
                assert "more than 2 times" in found.message

    asyncio.run(run())


def test_the_request_says_little_and_keeps_nothing() -> None:
    async def run() -> None:
        async with scene() as (host, sources):
            host.routes["/"] = plain(b"x", Set_Cookie="id=1")
            for _ in range(2):
                assert await read(sources, host.url()) == b"x"
            heads = [line.lower() for request in host.requests for line in request.splitlines()]
            assert not [line for line in heads if line.startswith((b"cookie", b"authorization"))]
            assert heads.count(b"accept-encoding: identity") == 2
            assert heads.count(f"host: 127.0.0.1:{host.port}".encode()) == 2
            assert host.connections == 1  # and the connection is used again

    asyncio.run(run())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert outcome_of(plain(b"x")) == b"x"


def test_who_cannot_be_reached_is_named() -> None:
    async def run() -> None:
        names = Names(gone_example=[["127.0.0.1"]])
        async with scene(names) as (host, sources):
            found = await sources.read(["http://nowhere.example/?secret", "http://gone.example:1/"])
            assert [one.code for one in found if isinstance(one, ImageFailure)] == [
                "upstream_error"
            ] * 2
            assert "nowhere.example is not known" in str(found[0])
            assert "no connection to the host gone.example" in str(found[1])
            assert "secret" not in str(found)
            assert host.connections == 0

    asyncio.run(run())


def test_the_next_address_is_tried() -> None:
    async def run() -> None:
        names = Names(a_example=[["127.0.0.3", "127.0.0.1"]])
        async with scene(names) as (host, sources):
            host.routes["/"] = plain(b"x")
            assert await read(sources, host.url(host="a.example")) == b"x"

    asyncio.run(run())


def test_the_system_resolves_names() -> None:
    async def run() -> None:
        resolver = SystemResolver(absolute=False)
        assert {str(one) for one in await resolver("localhost", 80)} & {"127.0.0.1", "::1"}
        with pytest.raises(OSError, match="name"):
            await resolver("a" * 64 + ".example", 80)
        resolver.close()

    asyncio.run(run())


def test_public_refuses_the_same_host() -> None:
    assert code_of(plain(b"x"), fetch_urls="public") == "forbidden_source"
    loopback = (ip_network("127.0.0.0/8"),)
    assert outcome_of(plain(b"x"), fetch_urls="public", fetch_networks=loopback) == b"x"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for pictures.example that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    place = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=pictures.example",
               "-addext", "subjectAltName=DNS:pictures.example",
               "-out", str(place[0]), "-keyout", str(place[1])]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("https with a certificate: no openssl on this machine to make one")
    return place


Checked = Callable[[PictureHost, Sources], Awaitable[None]]


def over_tls(certificate: tuple[Path, Path], check: Checked, names: Names) -> list[str | None]:
    """Run `check` with a TLS host; return the names that clients asked for in the handshake."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def run() -> None:
        async with picture_host({"/": plain(b"x")}, tls=context) as host:
            sources = Sources(settings_with(fetch_urls="any"), resolve=names)
            try:
                await check(host, sources)
            finally:
                await sources.close()

    asyncio.run(run())
    return asked


def test_tls_stays_with_the_name_though_the_connection_goes_to_the_address(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def check(host: PictureHost, sources: Sources) -> None:
        assert await read(sources, f"https://pictures.example:{host.port}/") == b"x"
        other = await read(sources, f"https://other.example:{host.port}/")
        assert isinstance(other, ImageFailure)
        assert other.code == "upstream_error"
        assert "certificate" in other.message

    names = Names(pictures_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    assert over_tls(certificate, check, names) == ["pictures.example", "other.example"]


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    async def check(host: PictureHost, sources: Sources) -> None:
        found = await read(sources, f"https://pictures.example:{host.port}/")
        assert isinstance(found, ImageFailure)
        assert "certificate" in found.message

    over_tls(certificate, check, Names(pictures_example=[["127.0.0.1"]]))


def test_a_client_that_leaves_lets_the_connection_go() -> None:
    async def run() -> None:
        async with scene() as (host, sources):
            host.routes["/"] = silent(HEAD + b"Content-Length: 9\r\n\r\nabc")
            fetch = asyncio.create_task(sources.read([host.url()]))
            await until(lambda: host.open == 1)
            fetch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetch
            host.routes["/"] = plain(b"x")
            assert await read(sources, host.url()) == b"x"
            assert host.connections == 2

    asyncio.run(run())


def test_the_pool_is_closed_with_the_sources() -> None:
    async def run() -> None:
        async with picture_host({"/": plain(b"x")}) as host:
            sources = Sources(settings_with(fetch_urls="any"))
            assert await read(sources, host.url()) == b"x"
            assert len(host.tasks) == 1
            await sources.close()
            await until(lambda: not host.tasks)

    asyncio.run(run())
