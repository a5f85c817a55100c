"""The load client against a small server on loopback that misbehaves on purpose."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.client import MAX_FAILURES, Order, agreed, cosine, run, send_all
from embedding_service.web.answers import named_json
from load.target import ForeignTargetError

Answer = Callable[[int], tuple[int, bytes]]
"""Images of a request to status and body."""


def whole(images: int) -> tuple[int, bytes]:
    names = [f"{number:02d}.jpg" for number in range(images)]
    return 200, named_json(names, [np.ones(4, np.float32)] * images)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer: Answer = getattr(self.server, "answer")  # noqa: B009 - set by `serving`
        status, text = answer(body.count(b"filename="))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the test's output clean."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.answer = answer
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    names = []
    for number in range(3):
        file = tmp_path / f"{number}.jpg"
        file.write_bytes(b"\xff\xd8" + os.urandom(200_000))
        names.append(str(file))
    return names


def order(url: str, files: list[str]) -> Order:
    return Order(url, "multipart", files, 3, 2, 4, 0.0, 0.4, os.getpid(), drain_seconds=5)


def test_good_answers_are_counted_with_cpu_time_and_vectors(files: list[str]) -> None:
    with serving(whole) as url:
        result = run(order(url, files))
        # The kernel counts in hundredths of a second: one short window may hold none.
        assert result.machine_cpu or any(run(order(url, files)).machine_cpu for _ in range(10))
    assert result.failed == 0
    assert result.completed
    assert all(2 <= images <= 4 for _, _, images in result.completed)
    assert all(0 <= ended <= result.window for ended, _, _ in result.completed)
    assert result.client_cpu > 0
    assert set(result.vectors) <= {0, 1, 2}
    assert result.lowest_agreement == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda images: (503, b"busy"), "503: busy"),
        (lambda images: whole(images - 1), "not "),
        (lambda images: (200, b'{"embeddings":' + b'":[' * images), "JSONDecodeError"),
        (
            lambda images: (200, named_json(
                [f"{number:02d}" for number in range(images)],
                [np.full(4, np.nan, np.float32)] * images,
            )),
            "",
        ),
    ],
)  # fmt: skip
def test_bad_answers_are_failures_with_their_fault(
    files: list[str], answer: Answer, fault: str
) -> None:
    with serving(answer) as url:
        result = run(order(url, files))
    assert result.failed > 0
    assert fault in next(iter(result.faults))


def test_nobody_listens_and_the_client_gives_up_in_the_end(files: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    result = run(order(url, files))
    assert 0 < result.failed <= 3 * MAX_FAILURES
    assert not result.completed


def test_a_foreign_address_is_refused(files: list[str]) -> None:
    with pytest.raises(ForeignTargetError):
        run(order("http://192.0.2.1:80", files))


def test_buffers_arrive_whole_through_a_narrow_pipe() -> None:
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    parts = [os.urandom(number * 37 % 5000) for number in range(1500)]
    got = bytearray()

    def read() -> None:
        while piece := right.recv(1 << 16):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    send_all(left, parts)
    left.close()
    reader.join()
    right.close()
    assert bytes(got) == b"".join(parts)


def test_a_mixed_up_answer_is_seen() -> None:
    one, other = [1.0, 0.0], [0.0, 1.0]
    _, lowest = agreed([([0, 1], [one, other]), ([1, 0], [one, other])])
    assert lowest == pytest.approx(0.0)
    vectors, lowest = agreed([([0, 1], [one, other]), ([1, 0], [other, one])])
    assert vectors == {0: one, 1: other}
    assert lowest == pytest.approx(1.0)


def test_cosine() -> None:
    assert cosine([1, 1], [2, 2]) == pytest.approx(1.0)
    assert cosine([1, 0], [-3, 0]) == pytest.approx(-1.0)
