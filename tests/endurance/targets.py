"""What a program promised and what came: a table for people and reports/NAME.json for tools."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

REPORTS = Path(__file__).parents[2] / "reports"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its target. `met` says whether it was reached."""

    what: str
    unit: str
    target: float
    value: float
    met: bool


def target(
    what: str, unit: str, bound: float, value: float, sense: Literal["<=", ">=", "=="]
) -> Row:
    """Judge one figure. A figure that could not be measured (NaN) is never met."""
    met = {"<=": value <= bound, ">=": value >= bound, "==": value == bound}[sense]
    shown = None if math.isnan(value) else round(value, 4)
    return Row(f"{what} ({sense})", unit, bound, math.nan if shown is None else shown, met)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table, aligned."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'':{width}}  {'target':>10} {'value':>12}  unit"]
    for row in rows:
        mark = "met" if row.met else "NOT MET"
        lines.append(f"{row.what:{width}}  {row.target:>10g} {row.value:>12g}  {row.unit}  {mark}")
    return "\n".join(lines)


def finish(name: str, rows: Sequence[Row]) -> bool:
    """Print the table and write reports/NAME.json; return whether every target was met."""
    print(table(rows))
    REPORTS.mkdir(exist_ok=True)
    documents = [
        {key: None if value != value else value for key, value in asdict(row).items()}  # noqa: PLR0124
        for row in rows
    ]
    path = REPORTS / f"{name}.json"
    path.write_text(json.dumps(documents, indent=2) + "\n")
    print(f"written: reports/{path.name}")
    return all(row.met for row in rows)
