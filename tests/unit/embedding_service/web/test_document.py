"""The OpenAPI document: complete, right in itself, and what the server really answers."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from embedding_service.errors import ServerFault
from embedding_service.web import body as body_module
from embedding_service.web.document import Document
from fakes.pipeline import IMAGE
from fakes.web import Web, over_socket, web_with

KEY = "sk-0123456789abcdef"
TEXT = {"input": "a cat"}
FILE = {"files": ("a.jpg", IMAGE)}
OF_WORK = {200, 400, 401, 408, 413, 429, 500, 503, 504}
STATUSES = {
    ("/v1/embeddings", "post"): OF_WORK | {404},
    ("/embed", "post"): OF_WORK | {406, 415},
    ("/v1/models", "get"): {200, 401, 500, 503},
    ("/v1/models/{model}", "get"): {200, 401, 404, 500, 503},
    ("/v1/tuning", "get"): {200, 500, 503},
    ("/livez", "get"): {200, 500, 503},
    ("/readyz", "get"): {200, 500, 503},
    ("/metrics", "get"): {200, 500},
}
DOCUMENT: Document = web_with().ask("GET", "/openapi.json").json()
RETRIED, CHALLENGED = {429, 503}, {401}
Ask = Callable[[Web, Path], httpx.Response]


def operations() -> Iterator[tuple[str, str, Document]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def check(instance: object, schema: Document) -> None:
    """Fail unless `instance` has this shape; references lead into the document."""
    jsonschema.Draft202012Validator(schema | {"components": DOCUMENT["components"]}).validate(
        instance
    )


def test_every_route_names_every_status() -> None:
    found = {(path, method): set(map(int, one["responses"])) for path, method, one in operations()}
    assert found == STATUSES


def test_every_shape_is_a_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("path", "method"), STATUSES)
def test_every_answer_has_words_headers_and_a_right_example(path: str, method: str) -> None:
    for status, answer in DOCUMENT["paths"][path][method]["responses"].items():
        assert answer["description"]
        assert {"X-Request-Id", "Server-Timing"} <= set(answer["headers"])
        for kind, content in answer["content"].items():
            assert "schema" in content, (status, kind)
            if kind != "application/x-npy":
                check(content["example"], content["schema"])


def test_every_request_has_a_right_example() -> None:
    bodies = [one["requestBody"]["content"] for _, _, one in operations() if "requestBody" in one]
    examples = [content for body in bodies for content in body.values() if "example" in content]
    assert len(examples) == 2
    for content in examples:
        check(content["example"], content["schema"])


def test_what_needs_a_key_says_so(tmp_path: Path) -> None:
    def keyed(document: Document) -> dict[str, Any]:
        return {path: next(iter(one.values())).get("security") for path, one in document.items()}

    (tmp_path / "keys").write_text(KEY)
    strict = web_with(api_keys_file=tmp_path).ask("GET", "/openapi.json").json()
    assert strict["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    needs = {"/v1/embeddings", "/embed", "/v1/models", "/v1/models/{model}"}
    for path, security in keyed(strict["paths"]).items():
        assert security == ([{"bearer": []}] if path in needs else None)
    for path, security in keyed(DOCUMENT["paths"]).items():
        assert security == ([{"bearer": []}, {}] if path in needs else None)


def broken(web: Web, path: str) -> httpx.Response:
    web.pipeline.fault = ServerFault("a lane failed")
    return web.ask("POST", path, **({"json": TEXT} if path != "/embed" else {"files": FILE}))


def full(web: Web, path: str) -> httpx.Response:
    asyncio.run(web.pipeline.admission.acquire(1.0))
    return web.ask("POST", path, json=TEXT)


def without_a_key(folder: Path, method: str, path: str) -> httpx.Response:
    (folder / "keys").write_text(KEY)
    return web_with(api_keys_file=folder / "keys").ask(method, path)


def loading(method: str, path: str) -> httpx.Response:
    return web_with(ready=False).ask(method, path)


def draining(path: str) -> httpx.Response:
    web = web_with()
    web.serving.drain()
    return web.ask("POST", path)


V1 = "/v1/embeddings"
REAL: dict[str, tuple[str, str, int, Ask]] = {
    "texts": (V1, "post", 200, lambda web, _: web.ask("POST", V1, json=TEXT)),
    "no body": (V1, "post", 400, lambda web, _: web.ask("POST", V1)),
    "no key": (V1, "post", 401, lambda _, folder: without_a_key(folder, "POST", V1)),
    "other model": (
        V1, "post", 404, lambda web, _: web.ask("POST", V1, json=TEXT | {"model": "x"})
    ),
    "many": (V1, "post", 413, lambda web, _: web.ask("POST", V1, json={"input": ["a"] * 9})),
    "big": (V1, "post", 413, lambda web, _: web.ask("POST", V1, content=b" " * 5000)),
    "full": (V1, "post", 429, lambda web, _: full(web, V1)),
    "broken": (V1, "post", 500, lambda web, _: broken(web, V1)),
    "late": (
        V1, "post", 504,
        lambda web, _: web.ask("POST", V1, json=TEXT, headers={"x-deadline-seconds": "0"}),
    ),
    "draining": (V1, "post", 503, lambda _, __: draining(V1)),
    "files": ("/embed", "post", 200, lambda web, _: web.ask("POST", "/embed", files=FILE)),
    "bad file": (
        "/embed", "post", 200,
        lambda web, _: web.ask("POST", "/embed", files={"files": ("n.txt", b"text")}),
    ),
    "base64": (
        "/embed", "post", 200,
        lambda web, _: web.ask("POST", "/embed?encoding=base64", files=FILE),
    ),
    "array": (
        "/embed", "post", 200,
        lambda web, _: web.ask(
            "POST", "/embed", files=FILE, headers={"accept": "application/x-npy"}
        ),
    ),
    "hex": ("/embed", "post", 400, lambda web, _: web.ask("POST", "/embed?encoding=hex")),
    "no key for files": (
        "/embed", "post", 401, lambda _, folder: without_a_key(folder, "POST", "/embed")
    ),
    "html": (
        "/embed", "post", 406,
        lambda web, _: web.ask("POST", "/embed", files=FILE, headers={"accept": "text/html"}),
    ),
    "plain text": ("/embed", "post", 415, lambda web, _: web.ask("POST", "/embed", content=b"a")),
    "full for files": ("/embed", "post", 429, lambda web, _: full(web, "/embed")),
    "broken for files": ("/embed", "post", 500, lambda web, _: broken(web, "/embed")),
    "loading": ("/embed", "post", 503, lambda _, __: loading("POST", "/embed")),
    "models": ("/v1/models", "get", 200, lambda web, _: web.ask("GET", "/v1/models")),
    "no key for models": (
        "/v1/models", "get", 401, lambda _, folder: without_a_key(folder, "GET", "/v1/models")
    ),
    "models loading": ("/v1/models", "get", 503, lambda _, __: loading("GET", "/v1/models")),
    "model": ("/v1/models/{model}", "get", 200, lambda web, _: web.ask("GET", "/v1/models/fake")),
    "no model": ("/v1/models/{model}", "get", 404, lambda web, _: web.ask("GET", "/v1/models/x")),
    "tuning": ("/v1/tuning", "get", 200, lambda web, _: web.ask("GET", "/v1/tuning")),
    "tuning loading": ("/v1/tuning", "get", 503, lambda _, __: loading("GET", "/v1/tuning")),
    "live": ("/livez", "get", 200, lambda web, _: web.ask("GET", "/livez")),
    "ready": ("/readyz", "get", 200, lambda web, _: web.ask("GET", "/readyz")),
    "not ready": ("/readyz", "get", 503, lambda _, __: loading("GET", "/readyz")),
    "metrics": ("/metrics", "get", 200, lambda web, _: web.ask("GET", "/metrics")),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_real_answer_is_as_the_document_says(name: str, tmp_path: Path) -> None:
    path, method, status, ask = REAL[name]
    web = web_with(semaphore_size=1, queue_size=0, max_images_per_request=8, max_request_bytes=4096)
    answer = ask(web, tmp_path)
    assert answer.status_code == status
    expect_documented(answer, DOCUMENT["paths"][path][method]["responses"][str(status)])


def expect_documented(answer: httpx.Response, documented: Document) -> None:
    """Compare type, shape and headers."""
    kind = answer.headers["content-type"].partition(";")[0]
    content = documented["content"][kind]
    if kind == "application/json":
        check(answer.json(), content["schema"])
    for name in documented["headers"]:
        if name in DOCUMENT["components"]["headers"]:
            assert name in answer.headers
    status = answer.status_code
    refused_work = "error" in answer.text
    assert ("retry-after" in answer.headers) == (status in RETRIED and refused_work)
    assert ("www-authenticate" in answer.headers) == (status in CHALLENGED)


def parsed(raw: bytes) -> httpx.Response:
    head, _, content = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return httpx.Response(int(first.split()[1]), headers=headers, content=content)


@pytest.mark.parametrize("path", [V1, "/embed"])
def test_a_slow_body_is_as_the_document_says(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "GRACE_SECONDS", 0.05)

    async def slowly() -> bytes:
        async with over_socket(web_with()) as client:
            reader, writer = await asyncio.open_connection(
                str(client.base_url.host), client.base_url.port
            )
            kind = "Content-Type: application/json"
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 99\r\n\r\n"
            writer.write(head.encode() + b"{")
            answer = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"}}")
            writer.close()
            return answer

    answer = parsed(asyncio.run(slowly()))
    assert answer.status_code == 408
    expect_documented(answer, DOCUMENT["paths"][path]["post"]["responses"]["408"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/embed", 405), ("GET", "/docs", 200)],
)
def test_what_the_document_leaves_out_has_an_id_and_times_too(
    method: str, path: str, status: int
) -> None:
    answer = web_with().ask(method, path, headers={"x-request-id": "mine"})
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == "mine"
    assert "total;dur=" in answer.headers["server-timing"]
