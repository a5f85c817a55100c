"""What one request did: its id, the seconds of its parts, its images. For headers and the log."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_KEY: Final = "trace"


@dataclass(slots=True)
class Trace:
    """One request's notes. Times are `time.perf_counter()` seconds.

    `outcome` is one of the contract's REQUEST_OUTCOMES once the answer is known; `code` is the
    error's word in an answer that is one. `parts` are names with their start and end, in the order
    of their ends. `trace_id` is that of the distributed trace, "" where nothing is traced.
    """

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    spans: dict[str, float] = field(default_factory=dict)
    parts: list[tuple[str, float, float]] = field(default_factory=list)
    items: int = 0
    failed_items: int = 0
    status: int = 0
    outcome: str = ""
    code: str = ""
    trace_id: str = ""

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add the seconds inside the block to `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.spans[name] = self.spans.get(name, 0.0) + ended - started
            self.parts.append((name, started, ended))

    def seconds(self) -> float:
        """Return the seconds since the request arrived."""
        return time.perf_counter() - self.started

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header, whose unit is fixed by its standard."""
        parts = [*self.spans.items(), ("total", self.seconds())]
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in parts)


def begin_trace(scope: Any) -> Trace:
    """Start the request's trace; a sane X-Request-Id of the client is kept."""
    given = Headers(scope=scope).get("x-request-id", "")
    request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
    trace = Trace(request_id)
    scope.setdefault("state", {})[_KEY] = trace
    return trace


def trace_of(scope: Any) -> Trace:
    """Return the trace that `begin_trace` put into the scope."""
    trace = scope["state"][_KEY]
    assert isinstance(trace, Trace)
    return trace
