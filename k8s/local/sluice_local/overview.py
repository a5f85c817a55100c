"""What runs, as a table and a few hints.

Law: it only looks. Its exit status tells scripts: 0 all runs, 1 something is down, 3 no cluster.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_local import addresses, component
from sluice_local.control import Component, Control
from sluice_local.errors import NotRunningError
from sluice_local.layout import Layout
from sluice_local.startup import node_is_ready
from sluice_local.visitor import UnreachableError, Visitor

_HINTS = """
reach it:
  python3 k8s/local/cluster.py kubectl get pods -A
  python3 k8s/local/cluster.py run bash            a shell inside, with kubectl, helm, promtool
  python3 k8s/local/cluster.py relay 9090 {prometheus}   Prometheus' API on 127.0.0.1:9090
  python3 k8s/local/cluster.py logs process-node -f"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    component: str
    pid: str
    state: str
    since: str


def duration(seconds: float) -> str:
    """A length of time in the two largest units, such as `3m12s`."""
    whole = max(0, int(seconds))
    for unit, small, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part}{small}"
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"


def rows(known: Mapping[str, Component], now: float) -> list[Row]:
    """The table's lines, one for each component that should run."""
    found = []
    for name in component.ORDER:
        one = known.get(name)
        if one is None:
            found.append(Row(name, "-", "not started", "-"))
            continue
        since = one.started if one.ended is None else one.ended
        pid = str(one.pid) if one.running else "-"
        found.append(Row(name, pid, one.verdict, duration(now - since)))
    return found


def table(lines: Sequence[Row]) -> str:
    """The lines in columns, with a heading."""
    cells = [("COMPONENT", "PID", "STATE", "SINCE")]
    cells += [(row.component, row.pid, row.state, row.since) for row in lines]
    widths = [max(len(cell[i]) for cell in cells) for i in range(4)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip()
        for cell in cells
    )


def describe_node(node: object) -> str:
    """A Node object (decoded JSON) in one line."""
    if not isinstance(node, dict):
        return "node: unknown"
    allocatable: dict[str, Any] = node.get("status", {}).get("allocatable", {})
    parts = [
        f"{name} {allocatable[name]}" for name in sorted(allocatable) if allocatable[name] != "0"
    ]
    ready = "Ready" if node_is_ready(node) else "NOT ready"
    return f"node {addresses.NODE_NAME}: {ready}; {', '.join(parts)}"


def show(layout: Layout) -> int:
    """Print everything; the exit status for scripts."""
    try:
        known = Control(layout).components()
    except NotRunningError as error:
        print(error)
        return 3
    lines = rows(known, time.time())
    print(table(lines))
    try:
        status, node = Visitor(layout).api(f"/api/v1/nodes/{addresses.NODE_NAME}")
    except UnreachableError as error:
        status, node = 0, None
        print(f"node: the API server does not answer: {error}")
    else:
        print(describe_node(node) if status == 200 else f"node: the API server says {status}")
    print(f"Prometheus inside: {addresses.PROMETHEUS_URL}; state and logs: {layout.state}")
    print(_HINTS.format(prometheus=addresses.PROMETHEUS_URL.removeprefix("http://")))
    whole = all(row.state == "running" for row in lines) and node_is_ready(node)
    return 0 if whole else 1
