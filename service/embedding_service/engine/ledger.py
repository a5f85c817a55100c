"""The books of admission: who holds how much, who waits, and who is next. Pure; the caller locks.

Counted by requests, each request takes one permit. Counted by images, a permit is room for a
typical request's images and each image takes its part of one. How many images a request has is
known only once its body is read. So it enters with an estimate, and when the count is known it
gives back or asks for the difference (`count`).

Whoever asks for the difference holds room already, so waiting for more could be a deadlock. It is
not: when every holder waits for more, the first of them gets it, limit or not. That is the only
way above the limit (besides a shrink), and it lasts until that one request is done.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from embedding_service.engine.lines import Turns
from embedding_service.engine.terms import Priority

TYPICAL_REQUEST_IMAGES: Final = 40
"""Images of a typical request, the middle of 30 to 50: what a permit is worth."""

LIVE_MEMORY_SECONDS: Final = 10.0
"""After a live request came, a part of the room stays free of bulk work for this long."""

LIVE_SHARE: Final = 4
"""That part: one in this many, one request at least."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's place in the books. `held` and `wanted` are in units of the ledger."""

    priority: Priority
    wanted: int
    """Units that it asks for: all at the entry, the difference at the count."""
    held: int = 0
    inside: bool = False
    asking: bool = field(default=True)
    """It waits: for its entry, or inside for the difference."""


class Ledger:
    """`size` permits. `images_per_permit` None counts requests, else images."""

    def __init__(self, size: int, images_per_permit: int | None = None) -> None:
        self._by_images = images_per_permit is not None
        self._unit = images_per_permit or 1
        self.size = positive(size)
        self.holders = 0
        """Requests inside."""
        self._held: dict[Priority, int] = {"live": 0, "bulk": 0}
        self._working: dict[Priority, int] = {"live": 0, "bulk": 0}
        """Requests inside that do not ask for more: they end without anybody's help."""
        # More for those inside comes before the entry of others.
        self._more: dict[Priority, deque[Ticket]] = {"live": deque(), "bulk": deque()}
        self._entry: dict[Priority, deque[Ticket]] = {"live": deque(), "bulk": deque()}
        self._turns = Turns()
        self._live_until = 0.0

    @property
    def room(self) -> int:
        """Units that may be held."""
        return self.size * self._unit

    @property
    def held(self) -> int:
        """Units that are held."""
        return self._held["live"] + self._held["bulk"]

    @property
    def waiting(self) -> int:
        """Requests that wait for their entry."""
        return len(self._entry["live"]) + len(self._entry["bulk"])

    def waiting_of(self, priority: Priority) -> int:
        """Requests of one class that wait for their entry."""
        return len(self._entry[priority])

    def permits_in_use(self, now: float) -> float:
        """Permits held, by images in parts of one; with those kept free while bulk work waits."""
        kept = self._reserve(now) if self._entry["bulk"] or self._more["bulk"] else 0
        return max(self.held, min(self.room, self.held + kept)) / self._unit

    def enter(self, priority: Priority, images: int) -> Ticket:
        """Join the line; look into `grants` who may come in."""
        ticket = Ticket(priority, self._units(images))
        self._entry[priority].append(ticket)
        return ticket

    def count(self, ticket: Ticket, priority: Priority, images: int, now: float) -> None:
        """The body is read: set class and images right. It asks for more when `asking` is set."""
        if priority == "live":
            self._live_until = now + LIVE_MEMORY_SECONDS
        self._held[ticket.priority] -= ticket.held
        self._working[ticket.priority] -= 1
        ticket.priority = priority
        units = self._units(images)
        ticket.wanted = max(0, units - ticket.held)
        ticket.held = min(units, ticket.held)
        self._held[priority] += ticket.held
        if ticket.wanted:
            ticket.asking = True
            self._more[priority].append(ticket)
        else:
            self._working[priority] += 1

    def leave(self, ticket: Ticket) -> None:
        """Give everything back, wherever the ticket is."""
        if ticket.asking:
            (self._more if ticket.inside else self._entry)[ticket.priority].remove(ticket)
        elif ticket.inside:
            self._working[ticket.priority] -= 1
        ticket.asking = False
        if ticket.inside:
            self.holders -= 1
            self._held[ticket.priority] -= ticket.held
            ticket.inside, ticket.held = False, 0

    def grants(self, now: float) -> list[Ticket]:
        """Give what can be given now and return who got it, in order."""
        granted = []
        while (ticket := self._next(now)) is not None:
            self._grant(ticket)
            granted.append(ticket)
        return granted

    def _units(self, images: int) -> int:
        """A request takes one unit at least, and all there is at most."""
        return min(max(1, images), self.room) if self._by_images else 1

    def _next(self, now: float) -> Ticket | None:
        ticket = self._whose_turn(now)
        if ticket is None:
            return None
        if self._fits(ticket) and (ticket.priority == "live" or self._in_share(now, ticket)):
            return ticket
        return None if any(self._working.values()) else self._forced(ticket)

    def _whose_turn(self, now: float) -> Ticket | None:
        live, bulk = self._head("live"), self._head("bulk")
        if live is None or bulk is None:
            return live or bulk
        turn = self._turns.next(live=True, bulk=True)
        # Held back by its own share, bulk work waits for bulk work to end and not for live work.
        return bulk if turn == "bulk" and self._in_share(now, bulk) else live

    def _forced(self, ticket: Ticket) -> Ticket | None:
        """Nobody inside works, so nobody will leave: return who goes on above the limit."""
        if ticket.inside or not self.holders:
            return ticket
        return next(line[0] for line in self._more.values() if line)

    def _head(self, priority: Priority) -> Ticket | None:
        lines = (self._more[priority], self._entry[priority])
        return next((line[0] for line in lines if line), None)

    def _fits(self, ticket: Ticket) -> bool:
        return self.held + ticket.wanted <= self.room

    def _in_share(self, now: float, ticket: Ticket) -> bool:
        # Bulk work alone with its asking must go on: live work may never pause.
        alone = not self._working["bulk"]
        return alone or self._held["bulk"] + ticket.wanted <= self.room - self._reserve(now)

    def _reserve(self, now: float) -> int:
        """Return the room that is kept free of bulk work now: none when no live request came."""
        if now >= self._live_until:
            return 0
        return min(max(1, self.room // LIVE_SHARE), self.room - 1)

    def _grant(self, ticket: Ticket) -> None:
        lines = self._more if ticket.inside else self._entry
        lines[ticket.priority].remove(ticket)
        self.holders += not ticket.inside
        self._working[ticket.priority] += 1
        self._turns.took(ticket.priority, bulk_waits=self._head("bulk") is not None)
        self._held[ticket.priority] += ticket.wanted
        ticket.held += ticket.wanted
        ticket.wanted, ticket.inside, ticket.asking = 0, True, False


def positive(size: int) -> int:
    """Return the number of permits.

    Raises:
        ValueError: less than one.
    """
    if size < 1:
        raise ValueError(f"an admission needs at least one permit, not {size}")
    return size
