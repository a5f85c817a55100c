"""JSON log lines."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_service.logs import JsonFormatter, configure_logging
from embedding_service.web.keys import KeyRing
from fakes.web import web_with


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    ours = logging.getLogger("embedding_service")
    before, level, our_level = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(False)


def test_a_line_is_one_json_object_with_its_extras(stream: io.StringIO) -> None:
    logging.getLogger("embedding_service.x").info("took %d", 3, extra={"request_id": "r1"})
    (line,) = stream.getvalue().splitlines()
    document = json.loads(line)
    assert document["message"] == "took 3"
    assert document["request_id"] == "r1"
    assert document["level"] == "info"
    assert set(document) == {"time", "level", "logger", "message", "request_id"}


def test_libraries_are_heard_only_from_warnings_on(stream: io.StringIO) -> None:
    logging.getLogger("open_clip").info("chatter")
    logging.getLogger("open_clip").warning("careful")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["careful"]


def test_a_trace_stays_on_the_line() -> None:
    error = RuntimeError("broken\nhere")
    record = logging.makeLogRecord({"msg": "fault", "exc_info": (type(error), error, None)})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "RuntimeError: broken" in json.loads(line)["trace"]


VALUES = st.one_of(
    st.text(st.characters()),
    st.text(st.sampled_from('\ud800\udfff\r\n"\\\x00\x1b\u2028{}'), max_size=9),
    st.integers(),
    st.floats(),
    st.binary(max_size=9),
    st.lists(st.integers(), max_size=3),
)


@given(message=VALUES, extra=VALUES)
def test_whatever_is_logged_is_one_line_of_json(message: object, extra: object) -> None:
    record = logging.makeLogRecord({"msg": message, "extra": extra})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "\r" not in line
    assert {"time", "level", "logger", "message", "extra"} == set(json.loads(line))


@pytest.mark.parametrize(
    "given_id", ['x", "outcome": "ok', "a b", "\t", "{}", "\x1b[31m", "\xff\xfe", "x" * 5000]
)
def test_a_client_cannot_write_into_the_log(stream: io.StringIO, given_id: str) -> None:
    web = web_with()
    headers = {"x-request-id": given_id.encode("latin-1")}
    answers: list[httpx.Response] = [
        web.ask("POST", "/v1/embeddings", json={"input": "a"}, headers=headers),
        web.ask("POST", "/v1/embeddings", content=b'{"input": "\\n{}', headers=headers),
        web.ask("POST", "/embed?a=%0a%22", headers=headers),
    ]
    lines = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    assert [line["status"] for line in lines] == [200, 400, 415]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [line["request_id"] for line in lines] == ids
    assert given_id not in ids


def test_a_path_of_the_client_is_bounded_and_on_one_line(
    stream: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: KeyRing, authorization: str) -> None:
        raise ZeroDivisionError(authorization)

    monkeypatch.setattr(KeyRing, "check", broken)
    (tmp_path / "keys").write_text("key")
    web = web_with(api_keys_file=tmp_path / "keys")
    assert web.ask("GET", "/%0a%22" + "x" * 5000).status_code == 500
    line = json.loads(stream.getvalue().split("\n")[-2])
    assert line["outcome"] == "server_fault"
    assert line["path"].startswith('/\n"x')
    assert len(line["path"]) == 256
