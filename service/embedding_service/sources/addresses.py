"""Which IP addresses a server may connect to for its clients. Pure.

The tables are IANA's registries of special addresses, written out: Python's own `is_global` has
changed its mind between versions, and a guard must not. For IPv6 only what is allocated counts.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from embedding_service.allowed import Network

Address = IPv4Address | IPv6Address

NEVER: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # unspecified, "this network"
        "169.254.0.0/16",  # link-local; the metadata services of most clouds
        "100.100.100.200/32",  # metadata of Alibaba
        "168.63.129.16/32",  # metadata of Azure, a public address
        "192.0.0.192/32",  # metadata of Oracle
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",  # unspecified
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local, given up
        "ff00::/8",  # multicast
        "fd00:ec2::/32",  # metadata of Amazon
        "fd20:ce::254/128",  # metadata of Google
        "64:ff9b:1::/48",  # local NAT64: where the IPv4 address lies in it is up to the network
    )
)
"""Refused whatever the setting: no image lives there, but credentials do."""

_NOT_PUBLIC: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; pods of some clouds
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4, given up
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4; what it embeds is looked at first
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ALLOCATED: Final = ip_network("2000::/3")
"""The only part of IPv6 that is given out as global unicast."""

_MAPPED: Final = ip_network("::ffff:0:0/96")
_TRANSLATED: Final = ip_network("::ffff:0:0:0/96")
_COMPATIBLE: Final = ip_network("::/96")
_NAT64: Final = ip_network("64:ff9b::/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
_LOW_32: Final = 0xFFFF_FFFF


def embedded(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses inside an IPv6 address, to which a packet may go in the end.

    IPv4-mapped, IPv4-translated, IPv4-compatible, NAT64, 6to4, Teredo (server and client), ISATAP.
    """
    if isinstance(address, IPv4Address):
        return []
    number = int(address)
    low = number & _LOW_32
    if any(address in net for net in (_MAPPED, _TRANSLATED, _COMPATIBLE, _NAT64)):
        return [] if low <= 1 and address in _COMPATIBLE else [IPv4Address(low)]
    found = []
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.extend(address.teredo)
    if (number >> 32) & _LOW_32 in _ISATAP:
        found.append(IPv4Address(low))
    return found


def is_public(address: Address) -> bool:
    """Say whether `address` is a unicast address of the public internet.

    An IPv6 address that embeds an IPv4 address is public when that one is, and is no relic: NAT64
    and IPv4-mapped only. Else it has to be allocated, and everything inside it public too.
    """
    if isinstance(address, IPv6Address):
        inside = embedded(address)
        if not all(map(is_public, inside)):
            return False
        if address in _MAPPED or address in _NAT64:
            return True
        if address not in _ALLOCATED:
            return False
    return not _within(address, NEVER) and not _within(address, _NOT_PUBLIC)


def may_connect(address: Address, *, any_address: bool, networks: Sequence[Network]) -> bool:
    """Say whether a client's reference may lead to `address`.

    Args:
        address: what the name was resolved to, or the literal in the URL.
        any_address: private addresses are allowed too.
        networks: these are allowed in addition to public addresses.
    """
    if _within(address, NEVER) or any(_within(one, NEVER) for one in embedded(address)):
        return False
    if any_address or is_public(address):
        return True
    return is_listed(address, networks)


def is_listed(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether `address` lies in one of `networks`.

    What a packet reaches in the end counts: of an address that embeds others, these must be in.
    """
    inside = embedded(address)
    if inside:
        return all(_within(one, networks) for one in inside)
    return _within(address, networks)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
