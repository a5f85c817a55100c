"""The official client as we use it, against a small server on loopback that records every call."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from kubernetes import client as library

from embedding_operator.api.names import Key
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.clients.apiserver import ApiServer, connect
from embedding_operator.clients.cluster import ServiceEvent
from embedding_operator.clients.kinds import DEPLOYMENT, POD
from embedding_operator.errors import (
    CannotStart,
    ClusterError,
    Conflict,
    Forbidden,
    Missing,
    OperatorError,
    Refused,
)
from fakes.cluster import resource
from fakes.plans import service

CLIP = service("clip")


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    kind: str
    body: Any


@dataclass
class Server:
    """Answers from a list, the last answer again and again."""

    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(200, {})])
    calls: list[Call] = field(default_factory=list)
    port: int = 0

    def next_answer(self) -> tuple[int, Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            url = urlsplit(self.path)
            state.calls.append(
                Call(
                    self.command,
                    url.path,
                    dict(parse_qsl(url.query)),
                    self.headers.get("Content-Type") or "",
                    json.loads(text) if text else None,
                )
            )
            status, body = state.next_answer()
            payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PATCH = answer  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.port = http.server_port
    yield state
    http.shutdown()
    http.server_close()
    thread.join(5)


def api(port: int, *namespaces: str, wrote: Any = None) -> ApiServer:
    configuration = library.Configuration(host=f"http://127.0.0.1:{port}")
    configuration.retries = False
    return ApiServer(library.ApiClient(configuration), namespaces, wrote or (lambda kind: None))


def test_one_object_is_read_and_a_missing_one_is_none(server: Server) -> None:
    server.answers = [(200, {"kind": "Pod"}), (404, {"message": "not found"})]
    cluster = api(server.port)
    assert asyncio.run(cluster.get(POD, Key("x", "a"))) == {"kind": "Pod"}
    assert asyncio.run(cluster.get(POD, Key("x", "b"))) is None
    assert [call.path for call in server.calls] == [
        "/api/v1/namespaces/x/pods/a", "/api/v1/namespaces/x/pods/b",
    ]  # fmt: skip


def test_a_long_list_is_read_page_by_page(server: Server) -> None:
    pages = [
        (200, {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
        (200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}),
    ]
    server.answers = list(pages)
    found = asyncio.run(api(server.port).list(POD, "x", {"a": "1", "b": "2"}))
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    assert {each["kind"] for each in found} == {"Pod"}
    assert server.calls[0].query == {"limit": "500", "labelSelector": "a=1,b=2"}
    assert server.calls[1].query["continue"] == "more"


def test_resources_of_all_or_of_named_namespaces_are_listed(server: Server) -> None:
    server.answers = [(200, {"items": [resource()]})]
    assert [each.key for each in asyncio.run(api(server.port).services())] == [
        Key("default", "clip")
    ]
    asyncio.run(api(server.port, "one", "two").services())
    plural = "embeddingservices"
    assert [call.path.removeprefix("/apis/sluice.dev/v1alpha1/") for call in server.calls] == [
        plural, f"namespaces/one/{plural}", f"namespaces/two/{plural}",
    ]  # fmt: skip


def test_applying_is_server_side_forced_and_counted(server: Server) -> None:
    wrote: list[str] = []
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "clip", "namespace": "x"},
    }
    server.answers = [(200, {"status": {}})]
    assert asyncio.run(api(server.port, wrote=wrote.append).apply(manifest)) == {"status": {}}
    call = server.calls[0]
    assert (call.method, call.path) == ("PATCH", DEPLOYMENT.path("x", "clip"))
    assert call.query == {"fieldManager": "sluice-operator", "force": "true"}
    assert (call.kind, call.body) == ("application/apply-patch+yaml", manifest)
    assert wrote == ["Deployment"]


def test_overwriting_merges_lists_as_a_whole(server: Server) -> None:
    manifest = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "clip", "namespace": "x"},
        "spec": {"ports": [{"port": 80}]},
    }  # fmt: skip
    asyncio.run(api(server.port).overwrite(manifest))
    assert server.calls[0].kind == "application/merge-patch+json"
    assert server.calls[0].body == manifest


def test_status_is_replaced_whole_together_with_the_version_that_was_read(server: Server) -> None:
    server.answers = [(200, resource())]
    asyncio.run(api(server.port).write_status(CLIP, EmbeddingServiceStatus(replicas=3)))
    call = server.calls[0]
    assert call.path.endswith("/namespaces/default/embeddingservices/clip/status")
    assert call.kind == "application/json-patch+json"
    version, status = call.body
    assert version == {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}
    assert (status["op"], status["path"], status["value"]["replicas"]) == ("add", "/status", 3)


def test_an_annotation_of_a_pod_that_is_gone_is_fine(server: Server) -> None:
    wrote: list[str] = []
    server.answers = [(404, {"message": "not found"})]
    asyncio.run(api(server.port, wrote=wrote.append).annotate(POD, Key("x", "a"), {"n": "1"}))
    assert server.calls[0].body == {"metadata": {"annotations": {"n": "1"}}}
    assert wrote == []


def test_an_event_that_cannot_be_recorded_stops_nothing(server: Server) -> None:
    event = ServiceEvent("Warning", "CrashLoop", "boom")
    server.answers = [(200, {}), (403, {"message": "events is forbidden"})]
    cluster = api(server.port)
    asyncio.run(cluster.emit(CLIP, event))
    asyncio.run(cluster.emit(CLIP, event))
    first, second = server.calls
    assert first.path == second.path
    assert first.path.startswith("/api/v1/namespaces/default/events/clip.")
    assert (first.body["count"], second.body["count"]) == (1, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (422, Refused), (403, Forbidden), (404, Missing), (409, Conflict),
     (429, ClusterError), (500, ClusterError)],
)  # fmt: skip
def test_a_refusal_is_an_error_with_the_servers_words(
    server: Server, status: int, kind: type[OperatorError]
) -> None:
    server.answers = [(status, {"message": "because"})]
    with pytest.raises(kind, match="because") as caught:
        asyncio.run(api(server.port).services())
    assert type(caught.value) is kind


def test_an_answer_that_is_no_json_is_an_error(server: Server) -> None:
    server.answers = [(502, "<html>bad gateway</html>")]
    with pytest.raises(ClusterError, match="bad gateway"):
        asyncio.run(api(server.port).services())


def test_a_server_that_is_not_there_is_an_error_with_its_address() -> None:
    closed = api(1)
    with pytest.raises(ClusterError, match=r"the API server at http://127\.0\.0\.1:\d+ did not"):
        asyncio.run(closed.services())


def test_without_any_cluster_the_message_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none")
    )
    with pytest.raises(CannotStart, match="set KUBECONFIG"):
        connect()
