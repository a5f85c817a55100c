"""Optional traces: whether they are wanted, and what the web room needs of them.

The standard variables of OpenTelemetry decide; nothing is traced until an endpoint is set. The
packages are an extra: `spans.py`, which needs them, is imported only then.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from starlette.types import Scope

from embedding_contract.endpoints import EMBED_PATH, MODELS_PATH, OPENAI_PATH, TracingEnvironment
from embedding_service.settings import SettingsError
from embedding_service.web.keys import OPEN_PATHS
from embedding_service.web.trace import Trace

CLOSE_SECONDS: Final = 3.0
"""Longest wait at the end for spans that are not sent yet."""
_ROUTES: Final = (OPENAI_PATH, EMBED_PATH, MODELS_PATH)


class RequestSpan(Protocol):
    """The span of one request, from its arrival on."""

    def finish(self, trace: Trace) -> None:
        """End it, with a child for each part; never waits for anybody."""


class Tracing(Protocol):
    """Makes spans and sends them in the background."""

    def begin(self, scope: Scope, trace: Trace) -> RequestSpan:
        """Start the span of a request and write its trace id into `trace`."""

    def close(self, seconds: float) -> bool:
        """Send what is left; blocks for at most `seconds`. Say whether all of it was sent."""


def wants_tracing(environ: Mapping[str, str]) -> bool:
    """Decide by the standard variables. Pure.

    Raises:
        SettingsError: they ask for something that this server does not do.
    """
    names = TracingEnvironment
    endpoints = (names.TRACES_ENDPOINT, names.ENDPOINT)
    endpoint = _first(environ, *endpoints)
    exporter = _first(environ, names.EXPORTER) or "otlp"
    if _first(environ, names.DISABLED).lower() == "true" or not endpoint or exporter == "none":
        return False
    if exporter != "otlp":
        raise SettingsError(f"{names.EXPORTER} is {exporter!r}, allowed: otlp, none")
    protocol = _first(environ, names.TRACES_PROTOCOL, names.PROTOCOL) or "http/protobuf"
    if protocol != "http/protobuf":
        raise SettingsError(f"{names.PROTOCOL} is {protocol!r}, allowed: http/protobuf")
    if not endpoint.startswith(("http://", "https://")):
        raise SettingsError(
            f"{names.ENDPOINT} is {endpoint!r}, allowed: http://HOST:4318 or https://HOST:4318"
        )
    return True


def start_tracing(environ: Mapping[str, str], pod_name: str) -> Tracing | None:
    """Start what sends spans, or return None where nothing is to be traced.

    Args:
        environ: the process's own environment: the packages read the rest of it themselves.
        pod_name: becomes service.instance.id.

    Raises:
        SettingsError: traces are asked for and the packages are missing, or cannot be had so.
    """
    if not wants_tracing(environ):
        return None
    try:
        from embedding_service.web.spans import OpenTelemetry  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            f"{TracingEnvironment.ENDPOINT} is set but the package {error.name!r} is missing: "
            "install sluice[tracing], or unset the variable"
        ) from error
    return OpenTelemetry(pod_name)


def route_of(path: str) -> str | None:
    """Return the template of the route, None where there is none. Pure."""
    if path.startswith(f"{MODELS_PATH}/"):
        return f"{MODELS_PATH}/{{model}}"
    return path if path in _ROUTES or path in OPEN_PATHS else None


def is_traced(scope: Scope) -> bool:
    """Say whether a request gets a span: probes, scrapes and the documentation get none."""
    return scope["path"] not in OPEN_PATHS


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((environ[name].strip() for name in names if environ.get(name, "").strip()), "")
