"""The fixed list of ways to make a server fetch from the inside, and that none of them connects.

A real socket listens on every loopback address and counts. The way in is the one that HTTP takes:
`Sources.read`, with the system's own resolver where no name is made up.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import httpcore
import pytest

from embedding_service.errors import ImageFailure
from embedding_service.sources.guard import Policy
from embedding_service.sources.network import GuardedNetwork
from embedding_service.sources.reading import Sources
from embedding_service.sources.resolver import Resolve
from fakes.names import Names
from fakes.picture_host import PictureHost, picture_host, plain, redirect
from fakes.web import settings_with

ATTACKS = {
    # the listening socket itself, in every way to write it; {port} is its port
    "loopback": "http://127.0.0.1:{port}/",
    "another loopback": "http://127.8.8.8:{port}/",
    "loopback, short": "http://127.1:{port}/",
    "loopback, one number": "http://2130706433:{port}/",
    "loopback, octal": "http://0177.0.0.1:{port}/",
    "loopback, octal number": "http://017700000001:{port}/",
    "loopback, hexadecimal": "http://0x7f.0x0.0x0.0x1:{port}/",
    "loopback, hexadecimal number": "http://0x7f000001:{port}/",
    "loopback, mixed": "http://0x7f.1:{port}/",
    "loopback, overflow": "http://4425367297:{port}/",
    "loopback, last dot": "http://127.0.0.1.:{port}/",
    "loopback, percent": "http://127%2e0%2e0%2e1:{port}/",
    "loopback, wide digits": "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
    "loopback, wide dots": "http://127\u30020\u30020\u30021:{port}/",
    "loopback, circled": "http://\u2460\u2461\u2466.0.0.1:{port}/",
    "loopback by name": "http://localhost:{port}/",
    "loopback by name, last dot": "http://LOCALHOST.:{port}/",
    "loopback below the name": "http://a.localhost:{port}/",
    "unspecified": "http://0.0.0.0:{port}/",
    "unspecified, short": "http://0:{port}/",
    "IPv6 loopback": "http://[::1]:{port}/",
    "IPv6 loopback, long": "http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/",
    "IPv6 unspecified": "http://[::]:{port}/",
    "IPv4 mapped": "http://[::ffff:127.0.0.1]:{port}/",
    "IPv4 mapped, hexadecimal": "http://[::ffff:7f00:1]:{port}/",
    "IPv4 compatible": "http://[::127.0.0.1]:{port}/",
    "NAT64": "http://[64:ff9b::7f00:1]:{port}/",
    "6to4": "http://[2002:7f00:1::]:{port}/",
    "Teredo": "http://[2001:0:808:808::80ff:fffe]:{port}/",
    "user": "http://8.8.8.8@127.0.0.1:{port}/",
    "user and password": "http://a:b@127.0.0.1:{port}/",
    "backslash": "http://8.8.8.8\\@127.0.0.1:{port}/",
    "part": "http://127.0.0.1:{port}#@8.8.8.8/",
    "blank": "http://127.0.0.1:{port} /",
    "new line": "http://127.0.0.1:{port}/\r\nHost: a.example",
    "zone": "http://[::1%25lo]:{port}/",
    # places inside; nothing may be sent there either
    "private": "http://10.0.0.1:{port}/",
    "private B": "http://172.16.0.1:{port}/",
    "private C": "http://192.168.0.1:{port}/",
    "private IPv6": "http://[fc00::1]:{port}/",
    "link-local": "http://169.254.1.1/",
    "link-local IPv6": "http://[fe80::1]/",
    "metadata": "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "metadata, one number": "http://2852039166/",
    "metadata, octal": "http://0251.0376.0251.0376/",
    "metadata, mapped": "http://[::ffff:a9fe:a9fe]/",
    "metadata of Amazon, IPv6": "http://[fd00:ec2::254]/",
    "metadata of Alibaba": "http://100.100.100.200/",
    "metadata of Azure": "http://168.63.129.16/",
    "metadata by name": "http://metadata.google.internal/",
    "carrier": "http://100.64.0.1/",
    "multicast": "http://224.0.0.1/",
    "broadcast": "http://255.255.255.255/",
    "documentation": "http://192.0.2.1/",
    "benchmark": "http://198.18.0.1/",
    "in the cluster": "https://kubernetes.default.svc/",
    "odd port": "http://8.8.8.8:6379/",
    # other schemes
    "file": "file:///etc/passwd",
    "ftp": "ftp://127.0.0.1:{port}/",
    "gopher": "gopher://127.0.0.1:{port}/_GET",
    "jar": "jar:http://127.0.0.1:{port}/!/",
    "no scheme": "//127.0.0.1:{port}/",
    "s3": "s3://albums/2024/a.jpg",
    "gs": "gs://photos/a.jpg",
}
"""Nothing here may be sent a byte under the default settings."""


class Listener:
    """A socket that listens on all addresses of this machine and counts who comes."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.port: int = listening.getsockname()[1]

    def callers(self) -> int:
        """Return how many connections wait to be accepted."""
        count = 0
        while True:
            try:
                self._listening.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture
def listener() -> Any:
    # All addresses of the machine, IPv6 too, so that no spelling of one of them is missed.
    if socket.has_dualstack_ipv6():
        listening = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        listening = socket.create_server(("", 0))
    listening.setblocking(False)
    yield Listener(listening)
    listening.close()


@asynccontextmanager
async def sources(resolve: Resolve | None = None, **values: Any) -> AsyncIterator[Sources]:
    made = Sources(settings_with(**({"fetch_urls": "public"} | values)), resolve=resolve)
    try:
        yield made
    finally:
        await made.close()


async def outcome(url: str, resolve: Resolve | None = None, **values: Any) -> str:
    """Return "read", or the code of the failure."""
    async with sources(resolve, **values) as made:
        (found,) = await made.read([url])
        return found.code if isinstance(found, ImageFailure) else "read"


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_nobody_is_connected_to(name: str, listener: Listener) -> None:
    url = ATTACKS[name].format(port=listener.port)
    assert asyncio.run(outcome(url)) == "forbidden_source"
    assert listener.callers() == 0


def test_the_listener_would_notice(listener: Listener) -> None:
    url = ATTACKS["loopback"].format(port=listener.port)
    found = asyncio.run(outcome(url, fetch_urls="any", fetch_timeout_seconds=0.2))
    assert found == "timeout"
    assert listener.callers() == 1


@pytest.mark.parametrize(
    "inside",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
)
def test_a_name_that_leads_inside_is_refused(inside: str, listener: Listener) -> None:
    for addresses in ([inside], ["8.8.8.8", inside], [inside, "8.8.8.8"]):
        names = Names(pictures_example=[addresses])
        url = f"http://pictures.example:{listener.port}/"
        assert asyncio.run(outcome(url.replace(f":{listener.port}", ""), names)) == (
            "forbidden_source"
        )
        assert names.asked == ["pictures.example"]
    assert listener.callers() == 0


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[PictureHost, PictureHost]]:
    """Give an allowed host, 127.0.0.1, and one inside that is not: 127.0.0.2."""
    async with picture_host() as allowed, picture_host(address="127.0.0.2") as inside:
        allowed.routes["/a"] = plain(b"picture")
        yield allowed, inside


ALLOWED = (ip_network("127.0.0.1/32"),)


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_a_redirect_to_the_inside_is_refused(status: str) -> None:
    async def run() -> None:
        async with two_hosts() as (allowed, inside):
            allowed.routes["/"] = redirect(inside.url("/secret"), f"{status} Moved")
            assert await outcome(allowed.url(), fetch_networks=ALLOWED) == "forbidden_source"
            assert (allowed.connections, inside.connections) == (1, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/", "file:///etc/passwd", "http://2130706434:{port}/", "s3://a/b",
     "//127.0.0.2:{port}/", "http://a@127.0.0.2:{port}/", "http://[::ffff:127.0.0.2]:{port}/"],
)  # fmt: skip
def test_a_redirect_is_checked_like_a_url(location: str) -> None:
    async def run() -> None:
        async with two_hosts() as (allowed, inside):
            allowed.routes["/"] = redirect(location.format(port=inside.port))
            assert await outcome(allowed.url(), fetch_networks=ALLOWED) == "forbidden_source"
            assert inside.connections == 0

    asyncio.run(run())


def test_a_name_that_changes_its_answer_changes_nothing() -> None:
    """Resolved once: the answer that was checked is the one that is connected to."""

    async def run() -> None:
        async with two_hosts() as (allowed, inside):
            names = Names(pictures_example=[["127.0.0.1"], ["127.0.0.2"]])
            url = allowed.url("/a", "pictures.example")
            assert await outcome(url, names, fetch_networks=ALLOWED) == "read"
            assert names.asked == ["pictures.example"]
            assert f"Host: pictures.example:{allowed.port}".encode() in allowed.requests[0]
            assert (allowed.connections, inside.connections) == (1, 0)

    asyncio.run(run())


def test_a_name_that_changes_its_answer_before_a_redirect_is_refused() -> None:
    async def run() -> None:
        async with two_hosts() as (allowed, inside):
            names = Names(pictures_example=[["127.0.0.1"], ["127.0.0.2"]])
            url = f"http://pictures.example:{inside.port}/secret"
            allowed.routes["/"] = redirect(url)
            first = allowed.url("/", "pictures.example")
            assert await outcome(first, names, fetch_networks=ALLOWED) == "forbidden_source"
            assert names.asked == ["pictures.example"] * 2
            assert inside.connections == 0

    asyncio.run(run())


class Dialled(httpcore.AsyncNetworkBackend):
    """Notes where a connection would have gone, and makes none."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def connect_tcp(
        self, host: str, *args: object, **kwargs: object
    ) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore.ConnectError("no network here")


def test_public_first_then_loopback_dials_only_the_checked_address() -> None:
    async def run() -> None:
        dialled = Dialled()
        names = Names(pictures_example=[["8.8.8.8"], ["127.0.0.1"]])
        network = GuardedNetwork(Policy(), names, dialled)
        with pytest.raises(httpcore.ConnectError):
            await network.connect_tcp("pictures.example", 443)
        assert dialled.addresses == ["8.8.8.8"]

    asyncio.run(run())


def test_there_is_no_way_to_a_socket_of_this_machine() -> None:
    async def run() -> None:
        with pytest.raises(httpcore.UnsupportedProtocol):
            await GuardedNetwork(Policy("any"), Names()).connect_unix_socket("/run/x.sock")

    asyncio.run(run())
