"""Admission: a resizable semaphore with a bounded FIFO queue in front of all work.

Growing admits waiters at once; shrinking waits for permits to come back and never takes one away.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from embedding_service.errors import Overloaded

MAX_RETRY_AFTER_SECONDS = 60.0
_SMOOTHING = 0.2
"""Weight of the newest hold time in the running mean."""


@dataclass(eq=False, slots=True)
class _Waiter:
    future: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    granted: bool = field(default=False)


class Admission:
    """At most `size` holders, at most `queue_size` waiters, first come first served.

    Use it from event loops; `resize` may be called from any thread. `waited` hears the seconds
    that each admitted request waited for its permit.
    """

    def __init__(
        self,
        size: int,
        queue_size: int,
        *,
        waited: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = _positive(size)
        self._queue_size = queue_size
        self._waited = waited
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight = 0
        self._waiters: deque[_Waiter] = deque()
        self._mean_hold_seconds = 1.0

    @property
    def size(self) -> int:
        """Permits in force."""
        return self._size

    @property
    def in_flight(self) -> int:
        """Requests that hold a permit; above `size` for a while after a shrink."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Requests that wait for a permit."""
        return len(self._waiters)

    def resize(self, size: int) -> None:
        """Set the number of permits. Growing admits waiters now; shrinking kills nobody."""
        with self._lock:
            self._size = _positive(size)
            self._admit()

    def permit(self, timeout: float) -> "Permit":
        """Return an async context manager that holds one permit.

        Raises (on entering):
            Overloaded: the queue is full, or no permit came within `timeout` seconds.
        """
        return Permit(self, timeout)

    async def acquire(self, timeout: float) -> None:  # noqa: ASYNC109 - it is part of the surface
        """Take a permit; every `acquire` that returns needs one `release`."""
        started = self._clock()
        waiter = self._enter()
        if waiter is not None:
            await self._wait(waiter, timeout)
        self._waited(self._clock() - started)

    def release(self, held_seconds: float) -> None:
        """Give one permit back; `held_seconds` feeds the Retry-After estimate."""
        with self._lock:
            self._mean_hold_seconds += _SMOOTHING * (held_seconds - self._mean_hold_seconds)
            self._in_flight -= 1
            self._admit()

    def _enter(self) -> _Waiter | None:
        with self._lock:
            if self._in_flight < self._size and not self._waiters:
                self._in_flight += 1
                return None
            if len(self._waiters) >= self._queue_size:
                raise self._overloaded(f"the queue of {self._queue_size} requests is full")
            loop = asyncio.get_running_loop()
            waiter = _Waiter(loop.create_future(), loop)
            self._waiters.append(waiter)
            return waiter

    async def _wait(self, waiter: _Waiter, timeout: float) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                await waiter.future
        except TimeoutError:
            self._withdraw(waiter)
            raise self._overloaded(f"no permit became free within {timeout:g} seconds") from None
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        """Leave the queue; a permit that was granted in the same moment goes to the next one."""
        with self._lock:
            if waiter.granted:
                self._in_flight -= 1
                self._admit()
            else:
                self._waiters.remove(waiter)

    def _admit(self) -> None:
        while self._waiters and self._in_flight < self._size:
            waiter = self._waiters.popleft()
            waiter.granted = True
            self._in_flight += 1
            try:
                waiter.loop.call_soon_threadsafe(_wake, waiter.future)
            except RuntimeError:  # its event loop is closed: nobody will ever release this permit
                self._in_flight -= 1

    def _overloaded(self, reason: str) -> Overloaded:
        turns = (len(self._waiters) + 1) / self._size
        seconds = min(MAX_RETRY_AFTER_SECONDS, max(1.0, turns * self._mean_hold_seconds))
        return Overloaded(f"the server is at its limit: {reason}; try again later", seconds)


class Permit:
    """One permit, held inside `async with`."""

    def __init__(self, admission: Admission, timeout: float) -> None:
        self._admission = admission
        self._timeout = timeout
        self._since = 0.0

    async def __aenter__(self) -> "Permit":
        await self._admission.acquire(self._timeout)
        self._since = time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.release(time.monotonic() - self._since)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _positive(size: int) -> int:
    if size < 1:
        raise ValueError(f"an admission needs at least one permit, not {size}")
    return size
