"""From a host name to IP addresses, in threads of its own.

A name server that hangs must stop neither the event loop nor the threads that decode base64.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final

from embedding_service.sources.addresses import Address

THREADS: Final = 32
"""Threads that wait for name servers: a few dead ones must not hold up the names of others."""
Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""Gives all addresses of a name for a port. Raises OSError when there are none."""


class SystemResolver:
    """Asks the resolver of the system."""

    def __init__(self, *, absolute: bool) -> None:
        """Make a resolver.

        Args:
            absolute: names are whole: the search list of a pod is not tried, which would look for
                every public name inside the cluster first.
        """
        self._absolute = absolute
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[Address]:
        """Return the addresses of `host`, each once, in the order of the system.

        Raises:
            OSError: the name is not known, or nobody could be asked.
        """
        name = f"{host}." if self._absolute else host
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _look_up, name, port)

    def close(self) -> None:
        """Let the threads end; a look-up that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(name: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that no name server takes
        raise OSError("not a name") from error
    # A zone, as in fe80::1%eth0, is dropped: such an address is refused anyway.
    texts = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return [ip_address(text) for text in texts]
