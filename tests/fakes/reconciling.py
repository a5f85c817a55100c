"""A bench for looks at resources: a cluster in memory, its pods' word, and a clock."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from embedding_operator.api.names import Key
from embedding_operator.handlers.reconcile import Reconciler, Seen
from embedding_operator.metrics import Instruments
from fakes.cluster import FakeCluster, FakeReports, resource

KEY = Key("default", "clip")


class Bench:
    """A cluster, its pods' word, a clock that moves only when told or slept on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = FakeCluster()
        self.reports = FakeReports(self.cluster)
        self.time = 1000.0
        self.instruments = Instruments(CollectorRegistry())
        self.reconcile = Reconciler(
            self.cluster,
            self.reports,
            self.instruments,
            "sluice/server:1",
            now=lambda: self.time,
            clock=lambda: self.time,
        )

        async def sleep(seconds: float) -> None:
            self.time += seconds

        monkeypatch.setattr("embedding_operator.handlers.nudge.asyncio.sleep", sleep)

    def look(self) -> Seen:
        return asyncio.run(self.reconcile(KEY))

    def begin(self, **spec: Any) -> None:
        """A service whose pods are ready and whose status is settled."""
        self.cluster.create(resource(**spec))
        self.look()
        self.cluster.roll_out()
        self.look()

    def condition(self, kind: Any) -> tuple[str, str, str]:
        found = self.cluster.status().condition(kind)
        assert found is not None
        return found.status, found.reason, found.message

    def reasons(self) -> list[str]:
        return [event.reason for event in self.cluster.events]
