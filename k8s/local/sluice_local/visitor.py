"""Asking something inside the cluster's network from outside: a child enters, asks, and answers.

Law: the caller's own process never changes its namespaces.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sluice_local import addresses, mark
from sluice_local.control import Control
from sluice_local.layout import Layout
from sluice_local.namespaces import Door

_TIMEOUT_SECONDS = 3.0


class UnreachableError(Exception):
    """Nothing answered, or not in time; the usual state of a component that is starting."""


class Visitor:
    """Small HTTP and TCP questions to one running cluster."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._inside = mark.inside(layout.mark)
        self._door: Door | None = None

    def connects(self, port: int) -> bool:
        """Whether something listens on 127.0.0.1:port in the namespace."""
        try:
            self._visit(lambda: _connect(port))
        except UnreachableError:
            return False
        return True

    def get(self, url: str) -> tuple[int, str]:
        """GET a plain URL: (status, body).

        Raises:
            UnreachableError: no answer.
        """
        return self._request("GET", url, None, None)

    def api(self, path: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
        """Ask the API server as the administrator: (status, decoded JSON or text).

        Raises:
            UnreachableError: no answer.
        """
        pki = self._layout.pki
        try:
            context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
            context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        except (OSError, ssl.SSLError) as error:
            raise UnreachableError(f"no usable certificates in {pki}: {error}") from error
        data = None if body is None else json.dumps(body)
        status, text = self._request(method, addresses.API_URL + path, data, context)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def _request(
        self, method: str, url: str, body: str | None, context: ssl.SSLContext | None
    ) -> tuple[int, str]:
        status, text = self._visit(lambda: _http(method, url, body, context))
        return int(status), str(text)

    def _visit(self, question: Callable[[], Any]) -> Any:
        if self._inside:
            try:
                return question()
            except (OSError, http.client.HTTPException) as error:
                raise UnreachableError(str(error)) from error
        if self._door is None:
            self._door = Door.of(Control(self._layout).holder_pid())
        return _in_child(self._door, question)


def _in_child(door: Door, question: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            door.enter_network()
            _write_all(writer, json.dumps({"answer": question()}).encode())
        except (OSError, http.client.HTTPException) as error:
            _write_all(writer, json.dumps({"error": str(error)}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    reply = json.loads(text or b'{"error": "the visitor failed"}')
    if "error" in reply:
        raise UnreachableError(reply["error"])
    return reply["answer"]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _connect(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS):
        return True


def _http(
    method: str, url: str, body: str | None, context: ssl.SSLContext | None
) -> tuple[int, str]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    else:
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT_SECONDS, context=context
        )
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()
