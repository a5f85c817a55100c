"""A load goes to this machine and to the local cluster, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.target import ForeignTargetError, checked_target


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://10.244.0.17:8000",
        "http://10.96.12.1",
    ],
)
def test_our_own_addresses_pass(url: str) -> None:
    assert checked_target(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "http://clip.demo.svc",
        "http://10.0.0.1:8000",
        "http://192.168.1.5",
        "http://127.0.0.1.example.org",
        "http://localhost@192.168.1.5/",
        "https://127.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ForeignTargetError):
        checked_target(url)


@given(st.ip_addresses(v=4))
def test_only_three_networks_are_ours(address: object) -> None:
    text = str(address)
    ours = text.startswith(("127.", "10.244.", "10.96."))
    if ours:
        assert checked_target(f"http://{text}:8000")
    else:
        with pytest.raises(ForeignTargetError):
            checked_target(f"http://{text}:8000")
