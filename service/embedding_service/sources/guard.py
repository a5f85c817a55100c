"""Which addresses a client may make this server fetch: schemes, hosts, ports, IP addresses. Pure.

A URL is taken apart strictly. What other parsers repair (numbers for addresses, percent signs or
wide letters in a host, a user before an @) is refused: two parsers that read one URL differently
are how guards are passed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal
from urllib.parse import quote, urljoin, urlsplit

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.allowed import FetchUrls, Network
from embedding_service.errors import ImageRejected
from embedding_service.sources.addresses import Address, is_listed, may_connect

MAX_URL_CHARACTERS: Final = 8192
MAX_HOST_CHARACTERS: Final = 254
MAX_PORT: Final = 65535
PUBLIC_PORTS: Final = (80, 443)
"""Ports of public addresses: a server of ours must not knock at mail or database servers."""
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}

_NETLOC: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]*\]|[^\[\]:]*)(:(?P<port>[0-9]{0,5}))?")
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DOTTED: Final = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
_LOCAL_NAMES: Final = (
    "localhost", "localdomain", "local", "internal", "svc", "lan", "intranet", "corp", "home",
    "private", "home.arpa", "onion",
)  # fmt: skip
"""Names that are no names of the public internet, with everything below them."""
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
"""Kept as they are in a path and a query; all else outside letters and digits is encoded."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart.

    `host` is lower case, without its last dot and without brackets. `path` holds the query and is
    plain ASCII. `address` is set when the host is an IP address.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    address: Address | None = None

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: a usual port is left out."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL again. It may hold a signature: never show it."""
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be fetched.

    Args:
        mode: none, only public addresses, or any but the metadata services and the like.
        hosts: names that may be fetched, with all names below them; empty means every name.
        networks: IP addresses that are allowed in addition to public ones, on every port.
    """

    mode: FetchUrls = "public"
    hosts: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def only_public(self) -> bool:
        """Nothing inside the cluster can be meant, so names need no search list."""
        return self.mode == "public" and not self.networks

    def check_target(self, target: Target) -> None:
        """Refuse what can be refused before a name is resolved.

        Raises:
            ImageRejected: forbidden_source, with the setting that would allow it.
        """
        if self.mode == "none":
            raise forbidden("this server fetches no URLs: EMBEDDING_FETCH_URLS is none")
        if target.address is not None:
            self._check_listed(target.host)
            self.check_addresses([target.address], target.port, target.host)
            return
        if self.only_public and _is_local_name(target.host):
            raise forbidden(f"the host {target.host} is not a name of the public internet")
        self._check_listed(target.host)
        if self.only_public:
            _check_port(target.port)

    def check_addresses(self, addresses: Sequence[Address], port: int, host: str) -> None:
        """Refuse unless every one of `addresses`, to which `host` was resolved, is allowed.

        One bad address among good ones is no accident. The message does not say which address it
        was: names inside the cluster are not for the client to explore.

        Raises:
            ImageRejected: forbidden_source.
        """
        for address in addresses:
            if not may_connect(address, any_address=self.mode == "any", networks=self.networks):
                raise forbidden(
                    f"the host {host} leads to an address that is not public, and this server is "
                    f"not set up to fetch from it (EMBEDDING_FETCH_NETWORKS)"
                )
            if self.mode == "public" and not is_listed(address, self.networks):
                _check_port(port)

    def _check_listed(self, host: str) -> None:
        if self.hosts and not any(
            host == suffix or host.endswith(f".{suffix}") for suffix in self.hosts
        ):
            raise forbidden(f"the host {host} is not on this server's list, EMBEDDING_FETCH_HOSTS")


def forbidden(message: str) -> ImageRejected:
    """Return the refusal of a source."""
    return ImageRejected(ImageErrorCode.FORBIDDEN_SOURCE, message)


def parse_url(url: str) -> Target:
    """Take an http or https URL apart.

    Raises:
        ImageRejected: forbidden_source; the message never repeats the URL.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise forbidden(f"the URL is longer than {MAX_URL_CHARACTERS} characters")
    if "\\" in url or any(character <= " " or character == "\x7f" for character in url):
        raise forbidden("the URL has a blank, a backslash or a control character")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _malformed() from None
    scheme: Literal["http", "https"]
    if parts.scheme == "http":
        scheme = "http"
    elif parts.scheme == "https":
        scheme = "https"
    else:
        raise forbidden("only http, https, s3 and gs addresses can be fetched")
    if "@" in parts.netloc:
        raise forbidden("the URL holds a user or a password: this server sends none")
    place = _NETLOC.fullmatch(parts.netloc)
    if place is None:
        raise _malformed()
    host, address = parse_host(place["host"])
    port = int(place["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= MAX_PORT:
        raise _malformed()
    return Target(scheme, host, port, _path_of(parts.path, parts.query), address)


def redirected(target: Target, location: str) -> Target:
    """Return where `location`, of an answer from `target`, leads.

    Raises:
        ImageRejected: forbidden_source.
    """
    if len(location) > MAX_URL_CHARACTERS:
        raise forbidden("the host redirects to a URL that is too long")
    try:
        joined = urljoin(target.url, location)
    except ValueError:
        raise forbidden("the host redirects to a URL that cannot be read") from None
    return parse_url(joined)


def parse_host(text: str) -> tuple[str, Address | None]:
    """Return the host as a name in lower case without its last dot, and its address if it is one.

    Args:
        text: a name, an IPv4 address, or an IPv6 address with or without brackets; no port.

    Raises:
        ImageRejected: forbidden_source.
    """
    if ":" in text:
        return _ipv6(text.removeprefix("[").removesuffix("]"))
    host = text.lower()
    if len(host) > MAX_HOST_CHARACTERS or not _HOST.fullmatch(host):
        raise forbidden(
            "the URL has no proper host name: write it in ASCII (xn--...), without percent signs"
        )
    host = host.removesuffix(".")
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return host, None
    # A last label that is a number makes the host an IPv4 address for many parsers, in octal,
    # hexadecimal or with parts left out. Only the plain form means one thing to everybody.
    if not _DOTTED.fullmatch(host):
        raise forbidden("write an IPv4 address as four decimal numbers")
    try:
        return host, IPv4Address(host)
    except ValueError:
        raise forbidden("write an IPv4 address as four decimal numbers up to 255") from None


def _malformed() -> ImageRejected:
    return forbidden("the URL cannot be read: its host or port is malformed")


def _ipv6(text: str) -> tuple[str, Address]:
    try:
        address = ip_address(text)
    except ValueError:
        raise forbidden("the URL has no proper IPv6 address") from None
    if not isinstance(address, IPv6Address) or address.scope_id is not None:
        raise forbidden("the URL has no proper IPv6 address, which has no zone")
    return str(address), address


def _path_of(path: str, query: str) -> str:
    """Return path and query for the request line: ASCII, and what was encoded stays so."""
    whole = (path or "/") + (f"?{query}" if query else "")
    try:
        return quote(whole, safe=_SAFE)
    except UnicodeEncodeError:
        raise forbidden("the URL has characters that no URL has") from None


def _is_local_name(host: str) -> bool:
    return "." not in host or any(
        host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES
    )


def _check_port(port: int) -> None:
    if port not in PUBLIC_PORTS:
        raise forbidden(f"port {port} cannot be fetched from: 80 and 443 can")
