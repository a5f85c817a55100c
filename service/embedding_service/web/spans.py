"""Traces through OpenTelemetry: one server span a request, a child for each of its parts.

Law: nobody else imports opentelemetry, which is an extra. Spans are made from the request's own
notes when it has ended; a bounded queue and a thread of their own send them, and what does not fit
is dropped. No query string, no key, no name of a file and no byte of an image is in a span.
"""

import importlib.metadata
import threading
import time
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from embedding_service.web.trace import Trace
from embedding_service.web.tracing import route_of

SERVICE: Final = "sluice-server"
PATH_CHARACTERS: Final = 256
_METHODS: Final = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY")
)
"""Others are told as _OTHER: the semantic conventions want a closed set."""
_NANOSECONDS: Final = 1_000_000_000


class OpenTelemetry:
    """Fulfils `tracing.Tracing`. Endpoint, sampler and queue come from the standard variables."""

    def __init__(self, pod_name: str) -> None:
        """Start the thread that sends."""
        self._provider = TracerProvider(resource=_resource(pod_name), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        version = importlib.metadata.version("sluice")
        self._tracer = self._provider.get_tracer("embedding_service", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, scope: Scope, trace: Trace) -> "ServerSpan":
        """Start the span below the client's own, if its traceparent names one."""
        headers = Headers(scope=scope)
        carrier = {name: headers[name] for name in self._propagator.fields if name in headers}
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        route = route_of(scope["path"])
        now = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {route}" if route else method,
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=now,
            attributes={
                "http.request.method": method,
                "url.scheme": scope["scheme"],
                "url.path": scope["path"][:PATH_CHARACTERS],
                "network.protocol.version": scope["http_version"],
                "sluice.request_id": trace.request_id,
                **({"http.route": route} if route else {}),
            },
        )
        trace.trace_id = f"{span.get_span_context().trace_id:032x}"
        return ServerSpan(self._tracer, span, now)

    def close(self, seconds: float) -> bool:
        """Send what is left; what cannot be sent in time is lost with the process."""
        thread = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(seconds)
        return not thread.is_alive()


class ServerSpan:
    """Fulfils `tracing.RequestSpan`."""

    def __init__(self, tracer: Tracer, span: Span, began: int) -> None:
        """Take over a span that began at `began`, in nanoseconds since the epoch."""
        self._tracer = tracer
        self._span = span
        self._began = began

    def finish(self, trace: Trace) -> None:
        """End the span and its children at the times that the request noted."""
        if not self._span.is_recording():  # the sampler did not want it
            return
        parent = set_span_in_context(self._span)
        for name, started, ended in trace.parts:
            child = self._tracer.start_span(
                name, context=parent, start_time=self._time(trace, started)
            )
            child.end(self._time(trace, ended))
        if trace.status:
            self._span.set_attribute("http.response.status_code", trace.status)
        self._span.set_attribute("sluice.outcome", trace.outcome)
        self._span.set_attribute("sluice.items", trace.items)
        self._span.set_attribute("sluice.failed_items", trace.failed_items)
        if trace.status >= 500 or not trace.status:
            self._span.set_attribute("error.type", trace.code or trace.outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(self._time(trace, trace.started + trace.seconds()))

    def _time(self, trace: Trace, moment: float) -> int:
        """Return nanoseconds since the epoch of a moment on the request's own clock."""
        return self._began + int((moment - trace.started) * _NANOSECONDS)


def _resource(pod_name: str) -> Resource:
    """Return who sends; a name that the standard variables give wins."""
    given = Resource.create()
    ours = {"service.version": importlib.metadata.version("sluice")}
    if str(given.attributes.get("service.name", "")).startswith("unknown_service"):
        ours["service.name"] = SERVICE
    if pod_name:
        ours["service.instance.id"] = pod_name
    return given.merge(Resource(ours))
