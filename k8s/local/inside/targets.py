"""What was promised and what came: a list of figures with their targets, written as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

Figure = float | int | str


@dataclass(frozen=True, slots=True)
class Target:
    """One figure. `target` is in words, e.g. "<= 10"."""

    what: str
    unit: str
    target: str
    value: Figure
    met: bool


class Targets:
    """Collects figures in the order in which they were measured."""

    def __init__(self) -> None:
        self.rows: list[Target] = []

    def most(self, what: str, unit: str, value: float, limit: float) -> Target:
        """Note a figure that must not exceed a limit."""
        return self._note(what, unit, f"<= {limit:g}", round(value, 3), met=value <= limit)

    def least(self, what: str, unit: str, value: float, limit: float) -> Target:
        """Note a figure that must reach a limit. NaN reaches nothing."""
        return self._note(what, unit, f">= {limit:g}", round(value, 6), met=value >= limit)

    def exactly(self, what: str, unit: str, value: Figure, wanted: Figure) -> Target:
        """Note a figure that must be exactly this."""
        return self._note(what, unit, f"= {wanted}", value, met=value == wanted)

    def seen(self, what: str, unit: str, value: Figure, wanted: str, *, met: bool) -> Target:
        """Note something whose target is only said in words."""
        return self._note(what, unit, wanted, value, met=met)

    @property
    def missed(self) -> list[Target]:
        """The figures that did not meet their target."""
        return [row for row in self.rows if not row.met]

    def write(self, path: Path) -> None:
        """Write all figures as a JSON list of {what, unit, target, value, met}."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=2) + "\n")

    def lines(self) -> list[str]:
        """The figures as a plain table, one line each, the heading first."""
        head = ("what", "value", "target", "unit", "")
        body = [
            (row.what, f"{row.value}", row.target, row.unit, "met" if row.met else "MISSED")
            for row in self.rows
        ]
        widths = [max(len(row[column]) for row in (head, *body)) for column in range(5)]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *body)
        ]

    def _note(self, what: str, unit: str, target: str, value: Figure, *, met: bool) -> Target:
        row = Target(what, unit, target, value, bool(met))
        self.rows.append(row)
        return row
