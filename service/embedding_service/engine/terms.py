"""On which terms a request is worked for: its priority class and its deadline. Pure."""

import math
from dataclasses import dataclass
from typing import Final, Literal

Priority = Literal["live", "bulk"]
"""live: somebody waits for it. bulk: an album, whose hundredth image may come a little later."""

PRIORITIES: Final[tuple[Priority, ...]] = ("live", "bulk")


@dataclass(frozen=True, slots=True)
class Terms:
    """`deadline` is a time.monotonic() after which nobody wants the answer; inf means none."""

    priority: Priority = "bulk"
    deadline: float = math.inf


def usual_priority(items: int, live_items: int) -> Priority:
    """Return the class of a request that names none: small ones are live."""
    return "live" if items <= live_items else "bulk"
