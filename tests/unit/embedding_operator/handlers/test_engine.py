"""The loop: one task a key, backoff, resync, the tuner after a look that went well."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from embedding_operator.api.names import Key
from embedding_operator.clients.cluster import Cluster
from embedding_operator.clients.kinds import SERVICES
from embedding_operator.errors import ClusterError, Conflict
from embedding_operator.handlers import engine as module
from embedding_operator.handlers.engine import Engine
from embedding_operator.handlers.health import sickness
from embedding_operator.handlers.reconcile import Seen
from embedding_operator.metrics import Instruments
from fakes.cluster import FakeCluster, resource
from fakes.waiting import until as wait_until

A, B = Key("default", "a"), Key("default", "b")


class Bench:
    """An engine whose looks are recorded."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.looks: list[Key] = []
        self.ticks: list[Key] = []
        self.together = self.most_together = 0
        self.answers: list[Seen | Exception] = []
        self.changed: list[bool] = []
        self.instruments = Instruments(CollectorRegistry())
        self.time = 0.0
        self.engine = Engine(
            cluster=self.cluster,
            reconcile=self._reconcile,
            tick=self._tick,
            instruments=self.instruments,
            resync_seconds=3600,
        )

    async def _reconcile(self, key: Key) -> Seen:
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        await asyncio.sleep(0)
        self.together -= 1
        self.looks.append(key)
        answer = self.answers.pop(0) if self.answers else Seen(True, 3600.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _tick(self, key: Key, cluster: Cluster, now: float) -> bool:
        self.ticks.append(key)
        return self.changed.pop(0) if self.changed else False

    def outcomes(self) -> dict[str, float]:
        return {
            sample.labels["outcome"]: sample.value
            for family in self.instruments.registry.collect()
            for sample in family.samples
            if sample.name == "sluice_operator_reconciles_total"
        }

    def run(
        self, until: Callable[[], bool], play: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        async def go() -> None:
            work = asyncio.create_task(self.engine.run())
            if play is not None:
                await play()
            await wait_until(until, 10)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

        asyncio.run(go())


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", (0.001, 0.002))
    monkeypatch.setattr(module, "CONFLICT_SECONDS", 0.001)
    return Bench()


def test_every_listed_resource_is_looked_at_and_tuned(bench: Bench) -> None:
    bench.cluster.create(resource("a"))
    bench.cluster.create(resource("b"))
    bench.run(lambda: len(bench.ticks) == 2)
    assert sorted(bench.looks) == [A, B]
    assert sorted(bench.ticks) == [A, B]


def test_one_key_is_never_looked_at_twice_at_a_time(bench: Bench) -> None:
    async def play() -> None:
        for _ in range(20):
            bench.engine.enqueue(A)
            await asyncio.sleep(0)

    bench.run(lambda: len(bench.looks) >= 3, play)
    assert bench.most_together == 1


def test_a_look_that_fails_is_repeated_and_the_tuner_waits_for_one_that_does_not(
    bench: Bench,
) -> None:
    bench.answers = [ClusterError("no answer"), ValueError("a bug"), Seen(True, 3600.0)]
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.ticks) == 1)
    assert len(bench.looks) == 3
    assert bench.outcomes() == {"error": 2.0, "ok": 1.0}


def test_a_conflict_is_no_failure(bench: Bench) -> None:
    bench.answers = [Conflict("modified")]
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.ticks) == 1)
    assert bench.outcomes() == {"conflict": 1.0, "ok": 1.0}


def test_what_the_tuner_wants_anew_is_applied_at_once(bench: Bench) -> None:
    bench.changed = [True]
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.looks) == 2)
    assert bench.ticks == [A]


def test_the_tuner_looks_again_after_its_window(bench: Bench) -> None:
    bench.answers = [Seen(True, 0.01)] * 50
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.ticks) == 3)


def test_a_look_that_wants_another_gets_it(bench: Bench) -> None:
    bench.answers = [Seen(True, 3600.0, again_seconds=0.005)]
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.looks) == 2)


def test_a_resource_that_is_gone_is_not_tuned(bench: Bench) -> None:
    bench.answers = [Seen(False)]
    bench.engine.enqueue(A)
    bench.run(lambda: len(bench.looks) == 1)
    assert bench.ticks == []


def test_a_listing_that_fails_is_tried_again(bench: Bench) -> None:
    bench.cluster.create(resource("a"))
    bench.cluster.fail("list", SERVICES, ClusterError("down"), ClusterError("down"))
    bench.run(lambda: bench.looks == [A])


def test_a_look_that_hangs_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VISIT_SECONDS", 0.01)

    async def hang(key: Key) -> Seen:
        await asyncio.Event().wait()
        return Seen(True)

    bench.engine._reconcile = hang
    bench.engine.enqueue(A)
    bench.run(lambda: bench.outcomes().get("error", 0) >= 2)


def test_a_loop_that_stands_still_is_sick() -> None:
    bench = Bench()
    time = [100.0]
    bench.engine._clock = lambda: time[0]
    bench.engine._beat = 100.0
    assert sickness(bench.engine) is None
    time[0] = 200.0
    assert sickness(bench.engine) == "the loop has not turned for 100 seconds"


def test_a_silent_watch_is_sick() -> None:
    bench = Bench()
    bench.engine.sightings.missed = A
    assert sickness(bench.engine) == "the watch is silent: a change of default/a never arrived"
