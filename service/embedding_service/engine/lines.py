"""Two lines, live and bulk, and the one rule of whose turn it is. Pure; the caller locks.

Live goes first, but while both wait every fourth turn is bulk's. So live work waits for one piece
of bulk work at most, and bulk work keeps a quarter of the turns however much live work comes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from embedding_service.engine.terms import Priority

BULK_TURN: Final = 4
"""While both wait, one turn in this many is bulk's."""

_One = TypeVar("_One")


class Turns:
    """Remembers how many live turns there were since bulk's last one."""

    def __init__(self) -> None:
        self._live_in_a_row = 0

    def next(self, *, live: bool, bulk: bool) -> Priority:
        """Return whose turn it is, given who waits (one of them at least)."""
        if live and bulk:
            return "live" if self._live_in_a_row < BULK_TURN - 1 else "bulk"
        return "live" if live else "bulk"

    def took(self, priority: Priority, *, bulk_waits: bool) -> None:
        """Tell that one of this class had its turn; live turns count while bulk waits."""
        self._live_in_a_row = self._live_in_a_row + 1 if priority == "live" and bulk_waits else 0


class TwoLines(Generic[_One]):
    """First come first served in each class; `Turns` between the classes."""

    def __init__(self) -> None:
        self._lines: dict[Priority, deque[_One]] = {"live": deque(), "bulk": deque()}
        self._turns = Turns()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._lines["live"]) + len(self._lines["bulk"])

    def has(self, priority: Priority) -> bool:
        """Say whether somebody of this class waits."""
        return bool(self._lines[priority])

    def __iter__(self) -> Iterator[_One]:
        """Go through all that wait."""
        yield from self._lines["live"]
        yield from self._lines["bulk"]

    def push(self, one: _One, priority: Priority) -> None:
        """Join the end of a line."""
        self._lines[priority].append(one)

    def head(self) -> _One:
        """Return whose turn it is, without taking it.

        Raises:
            IndexError: nobody waits.
        """
        return self._lines[self._next()][0]

    def turn(self, *, keep: bool = False) -> _One:
        """Give the next turn; with `keep` the one that had it stays at the head of its line.

        Raises:
            IndexError: nobody waits.
        """
        priority = self._next()
        line = self._lines[priority]
        one = line[0] if keep else line.popleft()
        self._turns.took(priority, bulk_waits=bool(self._lines["bulk"]))
        return one

    def sweep(self, gone: Callable[[_One], bool]) -> list[_One]:
        """Take out and return everything for which `gone` is true; the order stays."""
        left: list[_One] = []
        for priority, line in self._lines.items():
            stay: deque[_One] = deque()
            for one in line:
                (left if gone(one) else stay).append(one)
            self._lines[priority] = stay
        return left

    def _next(self) -> Priority:
        return self._turns.next(live=bool(self._lines["live"]), bulk=bool(self._lines["bulk"]))
