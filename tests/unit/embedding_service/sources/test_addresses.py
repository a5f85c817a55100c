"""Which IP addresses are public, and what hides inside IPv6."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedding_service.sources.addresses import NEVER, embedded, is_public, may_connect

METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
            "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]  # fmt: skip
NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "link-local": ["169.254.0.1", "fe80::1", "febf::1", "fec0::1"],
    "metadata": METADATA,
    "shared by carriers": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "broadcast, reserved": ["255.255.255.255", "240.0.0.1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmark": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "not allocated": ["1::1", "4000::1", "100::1", "5f00::1"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
                     "::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "Teredo": ["2001:0:808:808::f5ff:fffe", "2001:0:7f00:1::f7f7:f7f7"],
    "ISATAP": ["2a00::5efe:7f00:1", "2a00::200:5efe:a9fe:a9fe"],
}  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
          "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8",
          "64:ff9b::808:808"]  # fmt: skip
anything = st.ip_addresses()
inside_six = st.ip_addresses(v=4)


@pytest.mark.parametrize("text", [text for texts in NOT_PUBLIC.values() for text in texts], ids=str)
def test_what_is_not_public(text: str) -> None:
    address = ip_address(text)
    assert not is_public(address)
    assert not may_connect(address, any_address=False, networks=())


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public(text: str) -> None:
    assert may_connect(ip_address(text), any_address=False, networks=())


@pytest.mark.parametrize("text", [*METADATA, "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1",
                                  "255.255.255.255", "::ffff:169.254.169.254",
                                  "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"])  # fmt: skip
def test_what_no_setting_allows(text: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert not may_connect(ip_address(text), any_address=True, networks=everything)


@pytest.mark.parametrize("text", ["127.0.0.1", "10.1.2.3", "::1", "fc00::1", "::ffff:10.1.2.3"])
def test_any_allows_private_addresses(text: str) -> None:
    assert may_connect(ip_address(text), any_address=True, networks=())


def test_a_network_allows_what_is_in_it_and_no_more() -> None:
    networks = (ip_network("10.1.0.0/16"), ip_network("2002::/16"))

    def allowed(text: str) -> bool:
        return may_connect(ip_address(text), any_address=False, networks=networks)

    assert allowed("10.1.255.1")
    assert allowed("::ffff:10.1.0.1")
    assert allowed("8.8.8.8")
    assert not allowed("10.2.0.1")
    assert not allowed("2002:a02:1::")


@settings(deadline=None)
@given(anything)
@example(ip_address("64:ff9b::808:808"))
def test_whatever_is_allowed_is_global_for_python_too(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        for one in (address, *embedded(address)):
            assert not one.is_multicast
            assert one.is_global or (one == address and embedded(address))


@settings(deadline=None)
@given(inside_six)
def test_an_address_inside_another_is_judged_as_itself(inner: IPv4Address) -> None:
    number = int(inner)
    for outer in (
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
    ):
        assert embedded(outer) == [inner]
        assert is_public(outer) == is_public(inner)
        for anywhere in (True, False):
            assert may_connect(outer, any_address=anywhere, networks=()) == may_connect(
                inner, any_address=anywhere, networks=()
            )


@settings(deadline=None)
@given(inside_six, st.integers(0, 2**80 - 1))
def test_a_tunnel_never_leads_where_its_end_may_not(inner: IPv4Address, rest: int) -> None:
    tunnel = IPv6Address((0x2002 << 112) | (int(inner) << 80) | rest)
    assert inner in embedded(tunnel)
    assert not is_public(tunnel)
    if any(inner in network for network in NEVER):
        assert not may_connect(tunnel, any_address=True, networks=())
