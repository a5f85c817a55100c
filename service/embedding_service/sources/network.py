"""TCP connections for httpcore that go only to addresses which the guard has seen.

A name is resolved once, every address is checked, and the connection goes to what was checked: a
name server that gives another answer a moment later changes nothing. Host header and TLS stay
with the name. Connections that are kept open were checked when they were made.
"""

from collections.abc import Iterable
from typing import Final

import httpcore

from embedding_service.sources.addresses import Address
from embedding_service.sources.guard import Policy, parse_host
from embedding_service.sources.resolver import Resolve

MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""
CONNECT_SECONDS: Final = 5.0
"""Longest wait for one address to take the connection."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """The only way from httpcore to the network."""

    def __init__(
        self, policy: Policy, resolve: Resolve, below: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        """Stand in front of `below`, which is asyncio's own network unless one is given."""
        self._policy = policy
        self._resolve = resolve
        self._below = below or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the addresses of `host`.

        Raises:
            ImageRejected: one of them is forbidden; nothing was connected to.
            httpcore.ConnectError: the name is not known, or no address takes the connection.
            httpcore.ConnectTimeout: the last address tried did not answer.
        """
        addresses = await self._addresses(host, port)
        self._policy.check_addresses(addresses, port, host)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await self._below.connect_tcp(
                    str(address), port, CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[Address]:
        _, literal = parse_host(host)
        if literal is not None:
            return [literal]
        try:
            return await self._resolve(host, port)
        except OSError as error:
            raise NameUnknown(str(error)) from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL means a socket of this machine."""
        raise httpcore.UnsupportedProtocol("no unix sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait, for httpcore's retries, which are off."""
        await self._below.sleep(seconds)


class NameUnknown(httpcore.ConnectError):
    """The name could not be resolved."""
