"""The acting edge on a cluster in memory: status first, one writer, nothing on a fault."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from embedding_operator.api.names import Key
from embedding_operator.api.service import EmbeddingService, Manifest, parse_service
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.api.tuning import Diagnosis
from embedding_operator.clients.cluster import ServiceEvent
from embedding_operator.clients.kinds import DEPLOYMENT, POD, Kind
from embedding_operator.errors import ClusterError, PrometheusUnavailable
from embedding_operator.handlers.tune import Tuner
from embedding_operator.tuning.queries import Answers
from simulation.figures import Figures, answers

KEY = Key("team-a", "clip")
GATED = Figures(streams=1, permits=4, inflight=1.0, waiting=9.0, cpu=0.3, lanes=0.3, host=0.05)
PODS = ("clip-1",)


def resource(**tuning: object) -> Manifest:
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name, "uid": "u", "generation": 3},
        "spec": {
            "model": {"name": "sluice-tiny", "pretrained": "random:1"},
            "resources": {"limits": {"memory": "4Gi"}},
            "tuning": {"windowSeconds": 10, "prometheus": {"address": "http://p:9090"}} | tuning,
        },
        "status": {
            "pools": [{"name": "default", "generation": 5, "inForceSince": "1970-01-01T00:01:40Z"}],
            "conditions": [
                {"type": "MetricsAvailable", "status": "Unknown", "reason": "Collecting"},
                {"type": "Ready", "status": "True", "reason": "Ready"},
            ],
        },
    }


def pod(name: str, **changes: Any) -> Manifest:
    running = {"running": {"startedAt": "1970-01-01T00:00:50Z"}}
    return {
        "metadata": {"name": name} | changes.get("metadata", {}),
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "server", "restartCount": 0, "state": running}],
        },
    }


@dataclass
class Memory:
    """A cluster of one resource: what is written is read back."""

    service_: EmbeddingService
    pods: list[Manifest] = field(default_factory=lambda: [pod(name) for name in PODS])
    log: list[str] = field(default_factory=list)
    broken: bool = False

    async def services(self) -> list[EmbeddingService]:
        return [self.service_]

    async def service(self, key: Key) -> EmbeddingService | None:
        return self.service_ if key == self.service_.key else None

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        assert kind == DEPLOYMENT
        count = len(PODS)
        names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        status = dict.fromkeys(names, count) | {"observedGeneration": 1}
        return {"metadata": {"generation": 1}, "spec": {"replicas": count}, "status": status}

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        assert kind == POD
        assert labels["sluice.dev/service"] == KEY.name
        return self.pods

    async def apply(self, manifest: Manifest) -> Manifest:
        raise AssertionError("the tuner applies nothing itself")

    async def overwrite(self, manifest: Manifest) -> None:
        raise AssertionError("the tuner overwrites nothing")

    async def annotate(self, kind: Kind, key: Key, annotations: Mapping[str, str]) -> None:
        raise AssertionError("the tuner annotates nothing")

    async def write_status(
        self, service: EmbeddingService, status: EmbeddingServiceStatus
    ) -> EmbeddingService:
        if self.broken:
            raise ClusterError("the API server is away")
        stored = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        read = EmbeddingServiceStatus.model_validate(stored)
        self.service_ = replace(service, status=read)
        self.log.append("status")
        return self.service_

    async def emit(self, service: EmbeddingService, event: ServiceEvent) -> None:
        self.log.append(event.reason)


@dataclass
class Asked:
    """A Prometheus that always says the same, or fails."""

    figures: Figures = GATED
    fault: str = ""
    addresses: list[str] = field(default_factory=list)

    async def ask(
        self, address: str, namespace: str, pods: Sequence[str], ends: Sequence[float], *,
        window_seconds: float,
    ) -> Answers:  # fmt: skip
        self.addresses.append(address)
        if self.fault:
            raise PrometheusUnavailable(self.fault)
        return answers(dict.fromkeys(pods, self.figures), ends)


def cluster(**tuning: object) -> Memory:
    return Memory(parse_service(resource(**tuning)))


def tick(memory: Memory, metrics: Asked | None = None, now: float = 1000.0, **more: Any) -> bool:
    tuner = Tuner(metrics or Asked(), **more)
    return asyncio.run(tuner(KEY, memory, now))


def test_a_trial_stands_in_status_before_it_is_told_and_applied() -> None:
    memory = cluster()
    assert not tick(memory)  # the spec's knobs become the base
    assert tick(memory, now=1010.0)
    status = memory.service_.status
    trial = status.pool().tuning.trial
    assert trial is not None
    assert status.pool().setting == trial.to
    assert trial.to.semaphore_size > 4
    assert memory.log[-3:] == ["status", "Diagnosed", "TrialStarted"]
    assert status.pool().generation == 5


def test_metrics_available_is_written_in_its_old_place() -> None:
    memory = cluster()
    tick(memory)
    assert [one.type for one in memory.service_.status.conditions] == ["MetricsAvailable", "Ready"]
    found = memory.service_.status.condition("MetricsAvailable")
    assert found is not None
    assert (found.status, found.reason) == ("True", "Complete")
    assert found.last_transition_time == 1000.0
    tick(memory, now=1010.0)
    again = memory.service_.status.condition("MetricsAvailable")
    assert again is not None
    assert again.last_transition_time == 1000.0


def test_a_prometheus_that_is_away_changes_nothing_and_says_so() -> None:
    memory = cluster()
    tick(memory)
    assert not tick(memory, Asked(fault="nobody listens"), now=1010.0)
    found = memory.service_.status.condition("MetricsAvailable")
    assert found is not None
    assert (found.status, found.reason) == ("False", "PrometheusUnreachable")
    assert found.message == "nobody listens"
    assert memory.service_.status.pool().tuning.trial is None


def test_without_an_address_the_condition_says_what_to_set() -> None:
    memory = cluster(prometheus={})
    asked = Asked()
    tick(memory, asked)
    found = memory.service_.status.condition("MetricsAvailable")
    assert found is not None
    assert found.reason == "PrometheusNotConfigured"
    assert "spec.tuning.prometheus.address" in found.message
    assert asked.addresses == []
    tick(memory, asked, default_address="http://default:9090")
    assert asked.addresses == ["http://default:9090"]


def test_off_asks_nobody() -> None:
    memory, asked = cluster(mode="Off"), Asked()
    tick(memory, asked)
    assert asked.addresses == []


def test_at_rest_no_status_is_written() -> None:
    memory = cluster(mode="Recommend")
    for number in range(3):
        tick(memory, now=1000.0 + 10 * number)
    written = memory.log.count("status")
    for number in range(3, 9):
        tick(memory, now=1000.0 + 10 * number)
    assert memory.log.count("status") == written


def test_a_status_that_cannot_be_written_is_an_error_and_no_event() -> None:
    memory = cluster()
    tick(memory)
    memory.broken, memory.log = True, []
    with pytest.raises(ClusterError):
        tick(memory, now=1010.0)
    assert memory.log == []


def test_a_pod_on_its_way_out_holds_the_tuner() -> None:
    memory = cluster()
    tick(memory)
    memory.pods.append(pod("clip-2", metadata={"deletionTimestamp": "1970-01-01T00:10:00Z"}))
    tick(memory, now=1010.0)
    diagnosis = memory.service_.status.pool().tuning.diagnosis
    assert diagnosis is not None
    assert diagnosis.bottleneck == "Unstable"


def test_a_resource_that_is_gone_or_unreadable_is_left_alone() -> None:
    memory = cluster()
    memory.service_ = replace(memory.service_, spec=None, problem="no model")
    assert not tick(memory)
    memory.service_ = replace(memory.service_, key=Key("other", "one"))
    assert not tick(memory)
    assert memory.log == []


def test_diagnoses_and_decisions_reach_the_operators_metrics() -> None:
    classes: list[str] = []
    decided: list[str] = []

    def diagnosed(key: Key, diagnosis: Diagnosis | None) -> None:
        classes.append(diagnosis.bottleneck if diagnosis else "")

    memory = cluster()
    for number in range(2):
        tick(memory, now=1000.0 + 10 * number, diagnosed=diagnosed, decided=decided.append)
    assert classes == ["", "AdmissionLimited"]
    assert decided == ["Diagnosed", "TrialStarted"]
