"""Slots: a fixed ring of uint8 pictures between the decode pool and the lanes.

Its size bounds memory and is the backpressure: a decode thread without a slot waits. Slots are
handed out in ring order, so a batch usually lies in one piece and is copied in one go.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class SlotsClosed(Exception):
    """The ring was closed while somebody waited for a slot."""


class SlotRing:
    """`count` slots of `height` x `width` RGB.

    `pixels` is uint8 [count, height, width, 3]; `allocate` makes it (pinned memory on a GPU).
    """

    def __init__(
        self,
        count: int,
        height: int,
        width: int,
        allocate: Callable[[tuple[int, ...]], Pixels] = lambda shape: np.zeros(shape, np.uint8),
    ) -> None:
        self.pixels = allocate((count, height, width, 3))
        self._free = deque(range(count))
        self._taken: set[int] = set()
        self._change = threading.Condition()
        self._closed = False
        self._waiting = 0

    @property
    def count(self) -> int:
        """Slots in the ring."""
        return len(self.pixels)

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return len(self._free)

    @property
    def waiting(self) -> int:
        """Threads that wait for a slot."""
        return self._waiting

    def acquire(self) -> int:
        """Take the next slot; wait for one when all are taken.

        Raises:
            SlotsClosed: the ring was closed.
        """
        slot = self.acquire_unless(lambda: False)
        assert slot is not None
        return slot

    def acquire_unless(self, pointless: Callable[[], bool]) -> int | None:
        """Take the next slot; None when `pointless` becomes true meanwhile (`wake` makes it look).

        Raises:
            SlotsClosed: the ring was closed.
        """
        with self._change:
            self._waiting += 1
            try:
                self._change.wait_for(lambda: self._free or self._closed or pointless())
            finally:
                self._waiting -= 1
            if self._closed:
                raise SlotsClosed
            if not self._free or pointless():
                return None
            slot = self._free.popleft()
            self._taken.add(slot)
            return slot

    def wake(self) -> None:
        """Let everybody who waits look again whether it is pointless."""
        with self._change:
            self._change.notify_all()

    def release(self, slots: Iterable[int]) -> None:
        """Give slots back.

        Raises:
            ValueError: a slot that nobody holds; two owners would mix up pictures.
        """
        with self._change:
            for slot in sorted(slots):
                if slot not in self._taken:
                    raise ValueError(f"slot {slot} was released twice")
                self._taken.remove(slot)
                self._free.append(slot)
            self._change.notify_all()

    def close(self) -> None:
        """Wake everybody who waits; no slot is handed out any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()


def runs(slots: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the pieces of a batch that lie together: (position in the batch, slot, length)."""
    pieces: list[tuple[int, int, int]] = []
    for position, slot in enumerate(slots):
        if pieces and slot == pieces[-1][1] + pieces[-1][2]:
            start, first, length = pieces[-1]
            pieces[-1] = (start, first, length + 1)
        else:
            pieces.append((position, slot, 1))
    return pieces
