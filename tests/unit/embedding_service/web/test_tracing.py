"""Traces, sent to a real receiver on loopback."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from embedding_service.errors import ServerFault
from embedding_service.settings import SettingsError
from embedding_service.web import tracing as module
from embedding_service.web.lifecycle import Lifecycle
from embedding_service.web.tracing import Tracing, route_of, start_tracing, wants_tracing
from fakes.collector import Collector, attributes, collector
from fakes.pipeline import IMAGE, FakePipeline
from fakes.web import Web, settings_with, web_with

TEXT = {"input": "a cat"}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as found:
        monkeypatch.setenv(ENDPOINT, found.address)
        yield found


def started() -> Tracing:
    tracing = start_tracing(os.environ, "pod-a")
    assert tracing is not None
    return tracing


@pytest.fixture
def web(received: Collector) -> Iterator[Web]:
    web = web_with(tracing=started())
    yield web
    end(web)


def end(web: Web) -> None:
    assert web.serving.tracing is not None
    assert web.serving.tracing.close(5.0)


def server_span(received: Collector) -> Span:
    (span,) = [one for one in received.spans if one.kind == Span.SPAN_KIND_SERVER]
    return span


def test_a_request_is_a_server_span_below_the_clients(web: Web, received: Collector) -> None:
    answer = web.ask("POST", "/v1/embeddings?secret=1", json=TEXT, headers=SAMPLED)
    end(web)
    span = server_span(received)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == "POST /v1/embeddings"
    assert attributes(span.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/embeddings",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/v1/embeddings",
        "network.protocol.version": "1.1",
        "sluice.request_id": answer.headers["x-request-id"],
        "sluice.outcome": "ok",
        "sluice.items": 1,
        "sluice.failed_items": 0,
    }
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_its_parts_are_children_inside_it(web: Web, received: Collector) -> None:
    web.ask("POST", "/v1/embeddings", json=TEXT)
    end(web)
    span = server_span(received)
    children = [one for one in received.spans if one.parent_span_id == span.span_id]
    assert [one.name for one in children] == ["wait", "body", "fetch", "embed", "serialise"]
    for one in children:
        assert one.trace_id == span.trace_id
        assert span.start_time_unix_nano <= one.start_time_unix_nano
        assert one.start_time_unix_nano <= one.end_time_unix_nano <= span.end_time_unix_nano


def test_who_sends_is_told(web: Web, received: Collector) -> None:
    web.ask("GET", "/v1/models")
    end(web)
    assert received.resource["service.name"] == "sluice-server"
    assert received.resource["service.instance.id"] == "pod-a"
    assert received.resource["service.version"]


def test_the_standard_name_of_the_service_wins(
    received: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "clip")
    web = web_with(tracing=started())
    web.ask("GET", "/v1/models")
    end(web)
    assert received.resource["service.name"] == "clip"


def test_the_log_names_the_trace(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "embedding_service.requests"):
        web.ask("POST", "/v1/embeddings", json=TEXT, headers=SAMPLED)
    assert vars(caplog.records[0])["trace_id"] == TRACE


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/v1/tuning", "/docs"])
def test_probes_and_scrapes_make_no_spans(web: Web, received: Collector, path: str) -> None:
    web.ask("GET", path, headers=SAMPLED)
    end(web)
    assert received.spans == []


def test_a_parent_that_is_not_sampled_is_followed(web: Web, received: Collector) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    assert web.ask("POST", "/v1/embeddings", json=TEXT, headers=headers).status_code == 200
    end(web)
    assert received.spans == []


@pytest.mark.parametrize("given", ["", "x", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "\xff" * 9])
def test_a_traceparent_that_is_none_starts_a_new_trace(
    web: Web, received: Collector, given: str
) -> None:
    web.ask("GET", "/v1/models", headers={"traceparent": given.encode("latin-1")})
    end(web)
    span = server_span(received)
    assert span.parent_span_id == b""
    assert span.trace_id.hex() != TRACE


def test_our_own_fault_is_an_error_and_the_clients_is_not(web: Web, received: Collector) -> None:
    web.ask("POST", "/v1/embeddings", json={})
    web.pipeline.fault = ServerFault("a lane failed")
    web.ask("POST", "/v1/embeddings", json=TEXT)
    end(web)
    theirs, ours = (one for one in received.spans if one.kind == Span.SPAN_KIND_SERVER)
    assert theirs.status.code == Status.STATUS_CODE_UNSET
    assert ours.status.code == Status.STATUS_CODE_ERROR
    assert attributes(ours.attributes)["error.type"] == "server_fault"


def test_nothing_secret_is_in_a_span(received: Collector, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sk-secret-key")
    web = web_with(tracing=started(), api_keys_file=tmp_path / "keys")
    headers = {"authorization": "Bearer sk-secret-key"}
    files = {"files": ("secret-name.jpg", IMAGE + b"secret-bytes")}
    web.ask("POST", "/embed?encoding=float&q=secret-query", files=files, headers=headers)
    web.ask("POST", "/embed", headers={"authorization": "Bearer sk-secret-guess"})
    web.ask("GET", "/x" * 5000)
    end(web)
    assert len([one for one in received.spans if one.kind == Span.SPAN_KIND_SERVER]) == 3
    assert "secret" not in str(received.spans)
    assert max(len(str(attributes(one.attributes).get("url.path"))) for one in received.spans) < 300


def test_a_receiver_that_is_not_there_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    web = web_with(tracing=started())
    for _ in range(20):  # more spans than the queue holds
        assert web.ask("POST", "/v1/embeddings", json=TEXT).status_code == 200
    assert web.serving.tracing is not None
    web.serving.tracing.close(0.1)


def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end(received: Collector) -> None:
    received.brake.clear()
    tracing = started()
    web = web_with(tracing=tracing)
    assert web.ask("GET", "/v1/models").status_code == 200
    assert not tracing.close(0.05)  # it has not answered yet, and nobody waits for it
    received.brake.set()


def test_at_the_end_of_the_process_the_last_spans_are_sent(received: Collector) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = settings_with(host="127.0.0.1", port=port, drain_seconds=0.0)

    async def run() -> None:
        life = Lifecycle(settings, lambda made, _: FakePipeline(made), started())
        task = asyncio.create_task(life.run())
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.ConnectError:
                    return False

            async with asyncio.timeout(10):
                while not await ready():
                    assert not task.done()
            assert (await client.get("/v1/models")).status_code == 200
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, 10)

    asyncio.run(run())
    assert server_span(received).name == "GET /v1/models"


OTLP = {ENDPOINT: "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: " "}, False),
        (OTLP, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/v1/traces"}, True),
        (OTLP | {"OTEL_SDK_DISABLED": "TRUE"}, False),
        (OTLP | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (OTLP | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, False),
        (OTLP | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_an_endpoint_turns_it_on(environ: dict[str, str], wanted: bool) -> None:
    assert wants_tracing(environ) is wanted


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER is 'console', allowed: otlp"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "allowed: http/protobuf"),
        ({ENDPOINT: "collector:4318"}, "http://HOST:4318"),
    ],
)
def test_what_it_does_not_do_is_refused_at_the_start(more: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        wants_tracing(OTLP | more)


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "embedding_service.web.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"install sluice\[tracing\]"):
        start_tracing(OTLP, "")
    assert start_tracing({}, "") is None


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/embed", "/embed"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/a/b", "/v1/models/{model}"),
        ("/nowhere", None),
        ("/embed/x", None),
    ],
)
def test_a_route_is_a_template(path: str, route: str | None) -> None:
    assert route_of(path) == route


def test_the_wait_at_the_end_fits_into_the_grace_period() -> None:
    assert module.CLOSE_SECONDS < 10
