"""The load generator against a small server on loopback that misbehaves on purpose."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from load.generator import Load, Plan, multipart
from load.photographs import Photograph, photographs
from load.target import ForeignTargetError

PIXEL = Photograph("a.jpg", b"bytes", 1, 1)


class _Server(ThreadingHTTPServer):
    def __init__(self, status: int, document: object, retry_after: str = "0") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.document, self.retry_after = status, document, retry_after
        self.at_once = self.most_at_once = self.requests = 0
        self.images: list[bytes] = []
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.requests += 1
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(self.server.document).encode()
        with self.server.lock:
            self.server.images += re.findall(rb"\r\n\r\n(bytes.*)\r\n", sent)
            self.server.at_once -= 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the test's output clean."""


@contextmanager
def serving(status: int, document: object) -> Iterator[tuple[_Server, str]]:
    server = _Server(status, document)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(url: str, requests: int = 20, clients: int = 3) -> Load:
    plan = Plan(url, (PIXEL,), clients=clients, images=2, seconds=20, max_requests=requests)
    with Load(plan) as load:
        load.wait(20)
        assert not load.running
    return load


def test_every_answer_is_counted_and_the_number_of_requests_is_bounded() -> None:
    good = {"embeddings": {"a": [1], "b": [2]}, "errors": {}}
    with serving(200, good) as (server, url):
        seen = run(url).figures()
        assert (seen.ok, seen.refused, seen.failed, seen.images) == (20, 0, 0, 40)
        assert server.requests == 20
        assert len(set(server.images)) == len(server.images) == 40  # no two are the same
        assert server.most_at_once <= 3


def test_a_refusal_is_not_a_failure() -> None:
    with serving(429, {}) as (_, url):
        seen = run(url).figures()
        assert (seen.ok, seen.refused, seen.failed) == (0, 20, 0)


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, {}),
        (200, {"embeddings": {"a": [1]}, "errors": {"b": {"code": "not_an_image"}}}),
        (200, {"embeddings": {"a": [1]}, "errors": {}}),
    ],
)
def test_a_missing_vector_is_a_failure(status: int, document: object) -> None:
    with serving(status, document) as (_, url):
        seen = run(url).figures()
        assert (seen.ok, seen.failed) == (0, 20)
        assert seen.faults


def test_a_server_that_is_gone_is_a_failure() -> None:
    with serving(200, {}) as (_, url):
        pass
    assert run(url, requests=2, clients=1).figures().failed == 2


def test_a_load_cannot_be_aimed_elsewhere() -> None:
    with pytest.raises(ForeignTargetError):
        Plan("http://192.0.2.1", (PIXEL,))


def test_the_shipped_photographs_are_real_and_their_sizes_are_known() -> None:
    seen = {file.name: (file.width, file.height) for file in photographs()}
    assert seen["china.jpg"] == (640, 427)
    assert seen["retina.jpg"] == (1411, 1411)
    assert len(seen) == 9


def test_one_photograph_twice_in_a_request_keeps_two_names() -> None:
    body = multipart([PIXEL, PIXEL])
    assert b'filename="0-a.jpg"' in body
    assert b'filename="1-a.jpg"' in body
