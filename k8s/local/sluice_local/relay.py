"""A door for a browser: one address inside the cluster on the host's loopback.

Law: it listens on 127.0.0.1 only. The listening socket is made outside; then the process enters the
cluster's network, so that its connections start inside.
"""

from __future__ import annotations

import asyncio
import socket

from sluice_local.control import Control
from sluice_local.errors import LocalClusterError
from sluice_local.layout import Layout
from sluice_local.namespaces import Door

_CHUNK = 65536


def parse_target(text: str) -> tuple[str, int]:
    """HOST:PORT, as typed.

    Raises:
        LocalClusterError: not of that form.
    """
    host, separator, port = text.rpartition(":")
    if not (separator and host and port.isdigit() and 0 < int(port) < 65536):
        raise LocalClusterError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def listen(port: int) -> socket.socket:
    """A socket on the host's loopback; port 0 takes any free one.

    Raises:
        LocalClusterError: the port is taken or not allowed.
    """
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise LocalClusterError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error


def relay(layout: Layout, port: int, target: tuple[str, int]) -> None:
    """Carry connections until interrupted."""
    listener = listen(port)
    Door.of(Control(layout).holder_pid()).enter_network()
    host, number = target
    own = listener.getsockname()[1]
    print(f"http://127.0.0.1:{own} is {host}:{number} in the cluster; Ctrl-C ends it", flush=True)
    try:
        asyncio.run(_serve(listener, host, number))
    except KeyboardInterrupt:
        return


async def _serve(listener: socket.socket, host: str, port: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            print(f"{host}:{port}: {error}", flush=True)
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        inner_writer.close()
        writer.close()

    server = await asyncio.start_server(carry, sock=listener)
    async with server:
        await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # One side went away: the other is told by closing.
        writer.close()
