"""What changed between two looks that a person wants to read in `kubectl describe`.

Only changes: a state that stays the same says nothing again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from embedding_operator.api.status import Condition


@dataclass(frozen=True, slots=True)
class Happening:
    """One event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def happenings(before: Sequence[Condition], after: Sequence[Condition]) -> list[Happening]:
    """Compare two sets of conditions."""
    old = {each.type: each for each in before}
    found = []
    for each in after:
        was = old.get(each.type)
        changed = was is None or (was.status, was.reason) != (each.status, each.reason)
        if changed:
            found += _told(each, was)
    return found


def _told(now: Condition, was: Condition | None) -> list[Happening]:
    if now.type == "Ready" and now.status == "True" and (was is None or was.status != "True"):
        return [Happening("Normal", "Ready", now.message)]
    if now.type == "Degraded" and now.status == "True":
        return [Happening("Warning", now.reason, now.message)]
    if now.type == "Degraded" and was is not None and was.status == "True":
        return [Happening("Normal", "Recovered", f"{was.reason} is over")]
    if now.type == "MetricsAvailable" and was is not None and now.status == "False":
        return [Happening("Warning", f"Metrics{now.reason}", now.message)]
    return []
