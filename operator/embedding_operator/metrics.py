"""The operator's own metrics, prefix sluice_operator_. Labels are closed sets or resources."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from embedding_operator.api.names import Key

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Instruments:
    """Every counter of the operator and what may be done with it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._reconciles = Counter(
            "sluice_operator_reconciles",
            "Looks at a resource, by outcome: ok, gone, conflict, error.",
            ["outcome"],
            registry=registry,
        )
        self._duration = Histogram(
            "sluice_operator_reconcile_duration_seconds",
            "Time of one look, the tuner's part included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._writes = Counter(
            "sluice_operator_api_writes",
            "Writes to the API server, by kind. At rest it stands still.",
            ["kind"],
            registry=registry,
        )
        self._repairs = Counter(
            "sluice_operator_drift_repairs",
            "Children that somebody else had changed, by kind.",
            ["kind"],
            registry=registry,
        )
        self._decisions = Counter(
            "sluice_operator_tuning_decisions",
            "What the tuner did, by event reason.",
            ["decision"],
            registry=registry,
        )
        self._bottleneck = Gauge(
            "sluice_operator_bottleneck",
            "1 for the class that limits the service now.",
            ["namespace", "name", "class"],
            registry=registry,
        )
        self._classes: dict[Key, str] = {}

    @contextmanager
    def reconcile(self) -> Iterator[None]:
        """Measure one look."""
        began = perf_counter()
        try:
            yield
        finally:
            self._duration.observe(perf_counter() - began)

    def reconciled(self, outcome: str) -> None:
        """Count one look."""
        self._reconciles.labels(outcome).inc()

    def wrote(self, kind: str) -> None:
        """Count one write."""
        self._writes.labels(kind).inc()

    def repaired(self, kind: str) -> None:
        """Count one repaired drift."""
        self._repairs.labels(kind).inc()

    def decided(self, decision: str) -> None:
        """Count one step of the tuner."""
        self._decisions.labels(decision).inc()

    def diagnosed(self, key: Key, bottleneck: str | None) -> None:
        """Show what limits the service; None takes the series away."""
        before = self._classes.pop(key, None)
        if before is not None and before != bottleneck:
            self._bottleneck.remove(key.namespace, key.name, before)
        if bottleneck is not None:
            self._classes[key] = bottleneck
            self._bottleneck.labels(key.namespace, key.name, bottleneck).set(1)

    def ages(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(f"sluice_operator_{name}", text, registry=self.registry).set_function(read)
