"""What a server may fetch, as its settings write it: hosts, networks, prefixes of objects. Pure.

Law: imports nothing of ours, so that settings and sources read the same words.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

FetchUrls = Literal["none", "public", "any"]
FETCH_URLS: Final[tuple[FetchUrls, ...]] = ("none", "public", "any")
Network = IPv4Network | IPv6Network

_HOST: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_PREFIX: Final = re.compile(r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/([^,\s]*/)?")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks such as 10.1.0.0/16.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(text) for text in texts)


def parse_hosts(texts: Iterable[str]) -> tuple[str, ...]:
    """Read names such as example.org; all names below one are meant too.

    Raises:
        ValueError: one of them is none.
    """
    hosts = tuple(text.lower().removeprefix(".").removesuffix(".") for text in texts)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(host)
    return hosts


def parse_prefixes(texts: Iterable[str]) -> tuple[str, ...]:
    """Read prefixes such as s3://albums/2024/; a last slash that is left out is added.

    Raises:
        ValueError: one of them is none.
    """
    prefixes = tuple(text if text.endswith("/") else f"{text}/" for text in texts)
    for prefix in prefixes:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(prefix)
    return prefixes
