"""A receiver of OTLP over HTTP on loopback: a real socket, the real protobuf."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What came in. While `brake` is cleared nobody gets an answer."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[Span] = []
        self.resource: dict[str, object] = {}
        self.brake = threading.Event()
        self.brake.set()
        self.asked = threading.Event()

    def take(self, body: bytes) -> None:
        """Read one export."""
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = attributes(one.resource.attributes)
            for scope in one.scope_spans:
                self.spans.extend(scope.spans)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    """Return the values by key."""
    found: dict[str, object] = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        assert kind is not None
        found[pair.key] = getattr(pair.value, kind)
    return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Listen until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.asked.set()
            received.brake.wait(10)
            if self.path == "/v1/traces":
                received.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield received
    finally:
        received.brake.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
