"""Admission: a resizable semaphore with a bounded queue in front of all work.

Growing admits waiters at once; shrinking waits for permits to come back and never takes one away.
`ledger` decides who is next; here are the lock, the clock and the event loops.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from embedding_service.engine.ledger import Ledger, Ticket, positive
from embedding_service.engine.terms import Priority
from embedding_service.errors import Overloaded

MAX_RETRY_AFTER_SECONDS = 60.0
_SMOOTHING = 0.2
"""Weight of the newest hold time in the running mean."""
_KNOWN_AFTER = 10
"""Releases after which the running mean says something."""


@dataclass(frozen=True, eq=False, slots=True)
class _Waiter:
    future: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Admission:
    """At most `size` permits held; first come first served within live and within bulk requests.

    Live requests go first and keep a share of the permits while they come; see `ledger`. At most
    `queue_size` requests wait, and bulk ones never take the places of live ones. Use it from event
    loops; `resize` may be called from any thread. `waited` hears the seconds that each admitted
    request waited for its permit.
    """

    def __init__(
        self,
        size: int,
        queue_size: int,
        *,
        images_per_permit: int | None = None,
        waited: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count requests, or images when `images_per_permit` says how many make a permit."""
        self._ledger = Ledger(size, images_per_permit)
        self._queue_size = queue_size
        self._waited = waited
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters: dict[Ticket, _Waiter] = {}
        self._mean_hold_seconds = 1.0
        self._releases = 0

    @property
    def size(self) -> int:
        """Permits in force."""
        return self._ledger.size

    @property
    def in_flight(self) -> int:
        """Requests that hold a permit or a part of one; for a while too many after a shrink."""
        return self._ledger.holders

    @property
    def permits_in_use(self) -> float:
        """Permits that are not free; counted by images a request holds a part, or several."""
        return self._ledger.permits_in_use(self._clock())

    @property
    def waiting(self) -> int:
        """Requests that wait for a permit."""
        return self._ledger.waiting

    def resize(self, size: int) -> None:
        """Set the number of permits. Growing admits waiters now; shrinking kills nobody."""
        with self._lock:
            self._ledger.size = positive(size)
            self._admit(self._clock())

    def permit(self, timeout: float, priority: Priority = "bulk", images: int = 1) -> "Permit":
        """Return an async context manager that holds a permit; `images` may be an estimate.

        Raises (on entering):
            Overloaded: the queue is full, or no permit came within `timeout` seconds.
        """
        return Permit(self, timeout, priority, images)

    async def acquire(
        self,
        timeout: float,  # noqa: ASYNC109 - it is part of the surface
        priority: Priority = "bulk",
        images: int = 1,
    ) -> Ticket:
        """Take a permit; every ticket that this returns needs one `release`."""
        started = self._clock()
        ticket, waiter = self._enter(priority, images, timeout, started)
        if waiter is not None:
            await self._wait(ticket, waiter, timeout)
        self._waited(self._clock() - started)
        return ticket

    async def count(
        self,
        ticket: Ticket,
        priority: Priority,
        images: int,
        timeout: float,  # noqa: ASYNC109 - as acquire
    ) -> None:
        """Set right what was estimated at the entry; counted by images this may wait.

        Raises:
            Overloaded: there was no room within `timeout` seconds. `release` the ticket anyway.
        """
        with self._lock:
            now = self._clock()
            self._ledger.count(ticket, priority, images, now)
            waiter = self._admit_or_wait(ticket, now)
        if waiter is not None:
            await self._wait(ticket, waiter, timeout)

    def release(self, ticket: Ticket, held_seconds: float) -> None:
        """Give a permit back; `held_seconds` feeds the Retry-After estimate."""
        with self._lock:
            self._mean_hold_seconds += _SMOOTHING * (held_seconds - self._mean_hold_seconds)
            self._releases += 1
            self._leave(ticket)

    def _enter(
        self, priority: Priority, images: int, timeout: float, now: float
    ) -> tuple[Ticket, _Waiter | None]:
        with self._lock:
            ticket = self._ledger.enter(priority, images)
            waiter = self._admit_or_wait(ticket, now)
            refusal = None if waiter is None else self._hopeless(priority, timeout)
            if refusal is not None:
                self._leave(ticket)
                raise self._overloaded(refusal)
            return ticket, waiter

    def _hopeless(self, priority: Priority, timeout: float) -> str | None:
        """Return why waiting is pointless, or None: who would wait in vain hears so at once."""
        ahead = self._waiting_before(priority)
        if ahead >= self._queue_size:
            return f"the queue of {self._queue_size} requests is full"
        seconds = (ahead + 1) / max(1, self._ledger.holders) * self._mean_hold_seconds
        if ahead and self._releases >= _KNOWN_AFTER and seconds > timeout:
            return f"{ahead} requests wait already, and no permit will be free in {timeout:g} s"
        return None

    def _waiting_before(self, priority: Priority) -> int:
        """Return how many count against the newest one: for a live request only live ones."""
        ledger = self._ledger
        return (ledger.waiting_of("live") if priority == "live" else ledger.waiting) - 1

    def _admit_or_wait(self, ticket: Ticket, now: float) -> _Waiter | None:
        """Give what there is; return what the ticket waits on when it got nothing."""
        self._admit(now)
        if not ticket.asking:
            return None
        loop = asyncio.get_running_loop()
        waiter = self._waiters[ticket] = _Waiter(loop.create_future(), loop)
        return waiter

    async def _wait(self, ticket: Ticket, waiter: _Waiter, timeout: float) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                await waiter.future
        except TimeoutError:
            self._withdraw(ticket)
            raise self._overloaded(f"no permit became free within {timeout:g} seconds") from None
        except asyncio.CancelledError:
            self._withdraw(ticket)
            raise

    def _withdraw(self, ticket: Ticket) -> None:
        """Leave for good; a permit that was granted in the same moment goes to the next one."""
        with self._lock:
            self._leave(ticket)

    def _leave(self, ticket: Ticket) -> None:
        self._waiters.pop(ticket, None)
        self._ledger.leave(ticket)
        self._admit(self._clock())

    def _admit(self, now: float) -> None:
        granted = self._ledger.grants(now)
        while granted:
            deaf = [ticket for ticket in granted if not self._told(ticket)]
            for ticket in deaf:
                self._ledger.leave(ticket)
            granted = self._ledger.grants(now) if deaf else []

    def _told(self, ticket: Ticket) -> bool:
        """Wake who waits; False when its event loop is closed and nobody would ever release."""
        waiter = self._waiters.pop(ticket, None)
        if waiter is None:
            return True
        try:
            waiter.loop.call_soon_threadsafe(_wake, waiter.future)
        except RuntimeError:
            return False
        return True

    def _overloaded(self, reason: str) -> Overloaded:
        turns = (self.waiting + 1) / self.size
        seconds = min(MAX_RETRY_AFTER_SECONDS, max(1.0, turns * self._mean_hold_seconds))
        return Overloaded(f"the server is at its limit: {reason}; try again later", seconds)


class Permit:
    """One request's permit, held inside `async with`."""

    def __init__(
        self, admission: Admission, timeout: float, priority: Priority, images: int
    ) -> None:
        self._admission = admission
        self._timeout = timeout
        self._priority: Priority = priority
        self._images = images
        self._since = 0.0
        self._ticket: Ticket | None = None

    async def __aenter__(self) -> Self:
        self._ticket = await self._admission.acquire(self._timeout, self._priority, self._images)
        self._since = time.monotonic()
        return self

    async def counted(self, priority: Priority, images: int) -> None:
        """Say what the request turned out to be; counted by images this may wait for room.

        Raises:
            Overloaded: there was no room in time.
        """
        assert self._ticket is not None
        await self._admission.count(self._ticket, priority, images, self._timeout)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._ticket is not None
        self._admission.release(self._ticket, time.monotonic() - self._since)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
