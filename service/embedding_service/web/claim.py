"""What a request claims in its headers, before its body is read: its class and its deadline."""

import math
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Scope

from embedding_contract.endpoints import DEADLINE_HEADER, EMBED_PATH, PRIORITY_HEADER
from embedding_service.engine.admission import Admission, Permit
from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES
from embedding_service.engine.terms import PRIORITIES, Priority, Terms, usual_priority
from embedding_service.settings import ServerSettings
from embedding_service.web.answers import JSON
from embedding_service.web.body import declared_bytes
from embedding_service.web.failures import ItemFault

TYPICAL_IMAGE_BYTES: Final = 256 * 1024
"""An encoded image: between a small photograph's size and a full-HD one's."""

LONGEST_DEADLINE_SECONDS: Final = 3600.0
"""A client that gives more time than this gets this much."""

_KEY: Final = "claim"

HEADER_PARAMETERS: Final[list[dict[str, Any]]] = [
    {
        "name": PRIORITY_HEADER,
        "in": "header",
        "description": "live goes before bulk at every stage. Absent: small requests are live.",
        "schema": {"type": "string", "enum": list(PRIORITIES)},
    },
    {
        "name": DEADLINE_HEADER,
        "in": "header",
        "description": "Seconds that the client still waits. Later the work is dropped: 504.",
        "schema": {"type": "number", "example": 2.5},
    },
]


class Claim:
    """One request's class and deadline; the class may follow from the count of its items."""

    def __init__(self, asked: Priority | None, deadline: float, live_items: int) -> None:
        """`asked` is the class that the client named; `deadline` is in time.monotonic()."""
        self.deadline = deadline
        self._asked: Priority | None = asked
        self._live_items = live_items
        self._permit: Permit | None = None

    def priority(self, items: int) -> Priority:
        """Return the class of this request if it has so many images and texts."""
        return self._asked or usual_priority(items, self._live_items)

    def permit(self, admission: Admission, timeout: float, items: int) -> Permit:
        """Return the permit to enter with, given an estimate of the items."""
        self._permit = admission.permit(timeout, self.priority(items), items)
        return self._permit

    async def counted(self, items: int) -> Terms:
        """Say how many images and texts there are; return the terms of the work.

        Admitted by images, this may wait for room for those above the estimate.

        Raises:
            Overloaded: there was no room in time.
        """
        terms = Terms(self.priority(items), self.deadline)
        if self._permit is not None:
            await self._permit.counted(terms.priority, items)
        return terms


def begin_claim(
    scope: Scope, headers: Mapping[str, str], settings: ServerSettings, now: float
) -> Claim:
    """Read the headers and put the claim into the scope. `now` is time.monotonic().

    Raises:
        ItemFault: a header has a value that is not understood.
    """
    claim = Claim(_asked_priority(headers), _deadline(headers, settings, now), settings.live_items)
    scope.setdefault("state", {})[_KEY] = claim
    return claim


def claim_of(scope: Scope) -> Claim:
    """Return the claim that the gate put into the scope."""
    claim = scope["state"][_KEY]
    assert isinstance(claim, Claim)
    return claim


def estimated_items(path: str, headers: Mapping[str, str]) -> int:
    """Guess the images and texts of a request whose body is not read yet, one at least.

    A body of unknown length, or one that only names images, may be an album and counts as one.
    """
    size = declared_bytes(headers)
    names_only = path == EMBED_PATH and headers.get("content-type", "").startswith(JSON)
    if names_only or math.isinf(size):
        return TYPICAL_REQUEST_IMAGES
    return max(1, math.ceil(size / TYPICAL_IMAGE_BYTES))


def _asked_priority(headers: Mapping[str, str]) -> Priority | None:
    given = headers.get(PRIORITY_HEADER.lower())
    if given is None:
        return None
    asked = given.strip().lower()
    if asked not in PRIORITIES:
        message = f"{PRIORITY_HEADER} is {asked[:100]!r}, send live or bulk or leave it out"
        raise ItemFault(PRIORITY_HEADER, "invalid_value", message)
    return asked


def _deadline(headers: Mapping[str, str], settings: ServerSettings, now: float) -> float:
    """Return the time.monotonic() until which an answer is wanted, inf when there is no end."""
    given = headers.get(DEADLINE_HEADER.lower())
    if given is None:
        return now + settings.deadline_seconds if settings.deadline_seconds else math.inf
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        message = f"{DEADLINE_HEADER} is {given[:100]!r}, send the seconds that are left"
        raise ItemFault(DEADLINE_HEADER, "invalid_value", message)
    return now + min(max(seconds, 0.0), LONGEST_DEADLINE_SECONDS)
