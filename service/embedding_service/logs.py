"""Logs as one JSON object a line on stderr, for people's tools. Bodies and images never get here.

Everything goes to one stream: the last line of a pod that cannot start is then truly the last.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import orjson

_STANDARD: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
"""What every record has; the rest was given as `extra`."""


class JsonFormatter(logging.Formatter):
    """Writes time (UTC), level, logger, message, extras, and a trace if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:  # half of a surrogate pair, a number beyond 64 bits: never lose a line
            return json.dumps({key: str(value) for key, value in line.items()})


def configure_logging(stream: TextIO = sys.stderr) -> None:
    """Send all logs of the process to `stream` as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries talk a lot while a model loads
    logging.getLogger("embedding_service").setLevel(logging.INFO)
    logging.captureWarnings(True)
