"""Targets: what was aimed at and what came out, as a table and as reports/NAME.json."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """One row. `value` is None where it could not be measured; that is never met. `kind` is
    "at least" or "at most"."""

    what: str
    unit: str
    target: float
    value: float | None
    met: bool
    kind: str
    note: str = ""


def at_least(what: str, unit: str, least: float, value: float | None, note: str = "") -> Target:
    """A target that is met from `least` on."""
    met = value is not None and not math.isnan(value) and value >= least
    return Target(what, unit, least, _rounded(value), met, "at least", note)


def at_most(what: str, unit: str, most: float, value: float | None, note: str = "") -> Target:
    """A target that is met up to `most`."""
    met = value is not None and not math.isnan(value) and value <= most
    return Target(what, unit, most, _rounded(value), met, "at most", note)


def _rounded(value: float | None) -> float | None:
    """Five digits, and never a NaN: JSON has none."""
    if value is None or math.isnan(value):
        return None
    return float(f"{value:.5g}")


def table(rows: Sequence[Target]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | target | measured | met |", "|---|---|---|---|"]
    for row in rows:
        value = "not measured" if row.value is None else f"{row.value:g} {row.unit}"
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"| {row.what} | {row.kind} {row.target:g} | {value}{note} | {_said(row.met)} |"
        )
    return "\n".join(lines)


def _said(met: bool) -> str:
    return "yes" if met else "**no**"


def write(rows: Sequence[Target], file: Path) -> None:
    """Write the rows as JSON."""
    file.parent.mkdir(exist_ok=True)
    document = [
        {name: value for name, value in asdict(row).items() if name != "note" or value}
        for row in rows
    ]
    file.write_text(json.dumps(document, indent=2) + "\n")
