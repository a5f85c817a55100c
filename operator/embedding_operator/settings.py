"""The operator's settings: read once from the environment, checked at once, never changed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from embedding_operator.errors import SettingsError

LOG_LEVELS = ("debug", "info", "warning", "error")


def version() -> str:
    """The version of the distribution, or 0.0.0 in a bare source tree."""
    try:
        return metadata.version("sluice")
    except metadata.PackageNotFoundError:
        return "0.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """All settings of one operator process."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty means all of them (SLUICE_NAMESPACES, comma-separated)."""

    server_image: str = ""
    """Image of resources that name none (SLUICE_SERVER_IMAGE)."""

    prometheus_address: str = ""
    """Prometheus for resources that name none; empty means none (SLUICE_PROMETHEUS_ADDRESS)."""

    resync_seconds: float = 60.0
    """Seconds between two looks at every resource, even when nothing happened
    (SLUICE_RESYNC_SECONDS)."""

    log_level: str = "info"
    """debug, info, warning or error (SLUICE_LOG_LEVEL)."""

    health_port: int = 8080
    """TCP port of /healthz; 0 takes a free one (SLUICE_HEALTH_PORT)."""

    metrics_port: int = 8081
    """TCP port of /metrics; 0 takes a free one (SLUICE_METRICS_PORT)."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "OperatorSettings":
        """Read all settings; an empty value counts as not set.

        Raises:
            SettingsError: a variable is not allowed; the message names it.
        """
        names = environ.get("SLUICE_NAMESPACES", "")
        return cls(
            namespaces=tuple(name.strip() for name in names.split(",") if name.strip()),
            server_image=environ.get("SLUICE_SERVER_IMAGE", "") or f"sluice/server:{version()}",
            prometheus_address=_address(environ, "SLUICE_PROMETHEUS_ADDRESS"),
            resync_seconds=_number(environ, "SLUICE_RESYNC_SECONDS", 60.0, 1.0, 3600.0),
            log_level=_level(environ, "SLUICE_LOG_LEVEL"),
            health_port=int(_number(environ, "SLUICE_HEALTH_PORT", 8080, 0, 65535)),
            metrics_port=int(_number(environ, "SLUICE_METRICS_PORT", 8081, 0, 65535)),
        )


def describe_settings() -> str:
    """The text of `--help`: every variable with its default."""
    default = OperatorSettings()
    rows = (
        ("SLUICE_NAMESPACES", "namespaces to watch, comma-separated", "all"),
        ("SLUICE_SERVER_IMAGE", "image of resources that name none", f"sluice/server:{version()}"),
        ("SLUICE_PROMETHEUS_ADDRESS", "Prometheus of resources that name none", "none"),
        ("SLUICE_RESYNC_SECONDS", "seconds between two looks", f"{default.resync_seconds:g}"),
        ("SLUICE_LOG_LEVEL", ", ".join(LOG_LEVELS), default.log_level),
        ("SLUICE_HEALTH_PORT", "TCP port of /healthz", default.health_port),
        ("SLUICE_METRICS_PORT", "TCP port of /metrics", default.metrics_port),
    )
    return "\n".join(f"  {name:27}{text} (default {value})" for name, text, value in rows)


def _number(
    environ: Mapping[str, str], name: str, default: float, low: float, high: float
) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingsError(f"{name} is {text!r}, allowed: a number from {low:g} to {high:g}")
    return value


def _address(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip().rstrip("/")
    if text and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise SettingsError(f"{name} is {text!r}, allowed: an address such as http://host:9090")
    return text


def _level(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip().lower() or "info"
    if text not in LOG_LEVELS:
        raise SettingsError(f"{name} is {text!r}, allowed: {', '.join(LOG_LEVELS)}")
    return text
