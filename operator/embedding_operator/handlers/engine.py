"""The operator's loop: a work queue of keys, a look at every key from time to time, one at a time.

kopf only feeds the queue. Nothing is remembered here that would be missed after a kill: the
queue refills from the first listing, and all decisions live in status.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from embedding_operator.api.names import Key
from embedding_operator.clients.cluster import Cluster
from embedding_operator.errors import ClusterError, Conflict, OperatorError
from embedding_operator.handlers.queue import WorkQueue
from embedding_operator.handlers.reconcile import Seen
from embedding_operator.handlers.sightings import Sightings
from embedding_operator.handlers.tick import TunerTick
from embedding_operator.metrics import Instruments

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
CONFLICT_SECONDS: Final = 0.1
VISIT_SECONDS: Final = 90.0
"""No look takes longer than this, whatever hangs."""
BEAT_SECONDS: Final = 1.0
TASKS: Final = 8


class Engine:
    """Reconciles and tunes every resource, each key by one task at a time.

    Args:
        cluster: to list all resources on resync, and for the tuner.
        reconcile: one look at one resource.
        tick: one look of the tuner, or None for an operator that never tunes.
        instruments: the operator's own metrics.
        resync_seconds: time between two looks at a resource to which nothing happened.
        clock: monotonic seconds; `now`: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        reconcile: Callable[[Key], Awaitable[Seen]],
        tick: TunerTick | None,
        instruments: Instruments,
        resync_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._reconcile = reconcile
        self._tick = tick
        self._instruments = instruments
        self._resync_seconds = resync_seconds
        self._clock, self._now = clock, now
        self._queue = WorkQueue(clock)
        self._failures: dict[Key, int] = {}
        self._next_tick: dict[Key, float] = {}
        self._beat = self._resynced = clock()
        self.sightings = Sightings()

    def enqueue(self, key: Key, delay_seconds: float = 0.0) -> None:
        """Have a look at the key, at the earliest after the delay. The earliest wish wins."""
        self._queue.add(key, delay_seconds)

    @property
    def beat_age_seconds(self) -> float:
        """Time since the loop last turned."""
        return self._clock() - self._beat

    @property
    def listing_age_seconds(self) -> float:
        """Time since all resources were last listed."""
        return self._clock() - self._resynced

    @property
    def lag_seconds(self) -> float:
        """How long the most overdue resource has waited."""
        return self._queue.lag_seconds()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beats())
            group.create_task(self._resyncs())
            for _ in range(TASKS):
                group.create_task(self._works())

    async def _beats(self) -> None:
        while True:
            self._beat = self._clock()
            await asyncio.sleep(BEAT_SECONDS)

    async def _resyncs(self) -> None:
        """List all, look at all. A listing that fails is tried again sooner."""
        failures = 0
        while True:
            self.sightings.listing_begins()
            try:
                services = await self._cluster.services()
            except ClusterError as error:
                log.warning("resources could not be listed: %s", error)
                pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
            else:
                failures, pause = 0, self._resync_seconds
                self._resynced = self._clock()
                self.sightings.compare({each.key: each.resource_version for each in services})
                for service in services:
                    self._queue.add(service.key)
            await asyncio.sleep(pause)

    async def _works(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._visit(key)
            finally:
                self._queue.done(key)

    async def _visit(self, key: Key) -> None:
        """Look at one key; whatever goes wrong is counted, logged and tried again later."""
        try:
            with self._instruments.reconcile():
                async with asyncio.timeout(VISIT_SECONDS):
                    seen = await self._look(key)
        except Conflict as error:
            log.debug("%s: changed meanwhile, reading again: %s", key, error)
            self._instruments.reconciled("conflict")
            self._queue.add(key, CONFLICT_SECONDS)
        except (OperatorError, TimeoutError) as error:
            self._failed(key, str(error) or f"took longer than {VISIT_SECONDS:g} seconds")
        except Exception:
            log.exception("%s: an error of the operator itself, please report it", key)
            self._failed(key, "an error of the operator itself")
        else:
            self._failures.pop(key, None)
            self._instruments.reconciled("ok" if seen.exists else "gone")

    async def _look(self, key: Key) -> Seen:
        seen = await self._reconcile(key)
        if not seen.exists:
            self._forget(key)
            return seen
        if seen.again_seconds is not None:
            self._queue.add(key, seen.again_seconds)
        if seen.tick_seconds is not None and self._tick is not None:
            await self._tune(key, self._tick, seen.tick_seconds)
        return seen

    async def _tune(self, key: Key, tick: TunerTick, seconds: float) -> None:
        """Let the tuner look when its time has come; what it wants anew is applied at once."""
        if self._clock() >= self._next_tick.get(key, 0.0):
            changed = await tick(key, self._cluster, self._now())
            self._next_tick[key] = self._clock() + seconds
            if changed:
                self._queue.add(key)
        self._queue.add(key, self._next_tick[key] - self._clock())

    def _failed(self, key: Key, why: str) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
        log.warning("%s: %s; trying again in %g seconds", key, why, delay)
        self._instruments.reconciled("error")
        self._queue.add(key, delay)

    def _forget(self, key: Key) -> None:
        self._failures.pop(key, None)
        self._next_tick.pop(key, None)
        self.sightings.forget(key)
        self._instruments.diagnosed(key, None)
