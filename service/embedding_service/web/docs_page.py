"""GET /docs: the API as one plain page, made from the OpenAPI document.

Nothing is loaded from elsewhere, so it works in a cluster without internet access.
"""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse

HEADERS: Final = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.7rem;overflow:auto}code,pre{font-size:.9rem}"
    "h2{border-top:1px solid #ccc;padding-top:1rem}td{vertical-align:top;padding-right:1rem}"
)


def add_docs(app: FastAPI) -> None:
    """Add GET /docs to the application; /openapi.json is FastAPI's own."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()), headers=HEADERS)


def docs_page(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI document."""
    info = document["info"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>",
        f"<style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        "<p>The same as a machine reads it: <a href=openapi.json>openapi.json</a></p>",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.extend(_operation(path, method, operation))
    return "\n".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p><b>{escape(operation['summary'])}.</b></p>"
    for paragraph in operation.get("description", "").split("\n\n"):
        yield f"<p>{escape(paragraph)}</p>"
    for one in operation.get("parameters", ()):
        where = f"<code>{escape(one['name'])}</code>, in the {escape(one['in'])}"
        yield f"<p>{where}: {escape(one['description'])}</p>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Request, <code>{escape(kind)}</code></p>"
        yield from _fields(content.get("schema", {}))
        yield from _example(content)
    for status, answer in operation["responses"].items():
        yield f"<p>{escape(status)}: {escape(answer.get('description', ''))}</p>"
        if status == "200":
            for content in answer.get("content", {}).values():
                yield from _example(content)


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "<table>"
    for name, field in schema.get("properties", {}).items():
        text = escape(field.get("description", ""))
        need = "required" if name in schema.get("required", ()) else ""
        yield f"<tr><td><code>{escape(name)}</code><td>{need}<td>{text}</tr>"
    yield "</table>"


def _example(content: Mapping[str, Any]) -> Iterator[str]:
    if "example" in content:
        yield f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>"
