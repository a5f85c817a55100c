"""The relay: on loopback only."""

from __future__ import annotations

import pytest
from sluice_local import relay
from sluice_local.errors import LocalClusterError


def test_a_target_is_host_and_port() -> None:
    assert relay.parse_target("10.244.0.1:9090") == ("10.244.0.1", 9090)


@pytest.mark.parametrize("text", ["", "9090", "host:", ":80", "host:x", "host:0", "host:70000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(LocalClusterError, match="HOST:PORT"):
        relay.parse_target(text)


def test_it_listens_on_loopback_only_and_says_when_the_port_is_taken() -> None:
    with relay.listen(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(LocalClusterError, match=f"127.0.0.1:{port}"):
            relay.listen(port)
