"""JSON log lines."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from embedding_service.logs import JsonFormatter, configure_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
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
