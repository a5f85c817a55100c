"""One look at one resource, against a cluster in memory."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from embedding_contract.endpoints import NUDGE_ANNOTATION
from embedding_contract.tuning import Setting
from embedding_operator.api.names import Key
from embedding_operator.api.tuning import Knobs
from embedding_operator.clients.kinds import (
    CHILDREN,
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    SERVICES,
)
from embedding_operator.errors import ClusterError, Conflict, Forbidden, Refused
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


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_new_resource_gets_every_child_owned_by_it(bench: Bench) -> None:
    made = bench.cluster.create(resource())
    bench.look()
    kinds = {kind for kind, _, _ in bench.cluster.objects} - {"EmbeddingService"}
    assert kinds == {kind.kind for kind in CHILDREN}
    for (kind, _, _), manifest in bench.cluster.objects.items():
        if kind != "EmbeddingService":
            owner = manifest["metadata"]["ownerReferences"][0]
            assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], True)
            assert "finalizers" not in manifest["metadata"]


def test_it_is_ready_only_when_every_pod_runs_the_tuning_file(bench: Bench) -> None:
    bench.cluster.create(resource(replicas=2))
    bench.look()
    assert bench.condition("Ready")[:2] == ("False", "RollingOut")
    assert bench.condition("TuningInForce")[0] == "Unknown"
    bench.cluster.roll_out()
    bench.reports.silent = {"clip-1"}
    bench.look()
    assert bench.condition("Ready")[:2] == ("False", "TuningApplying")
    bench.reports.silent = set()
    bench.look()
    assert bench.condition("Ready")[:2] == ("True", "AllPodsReady")
    assert bench.condition("TuningInForce")[0] == "True"
    assert bench.cluster.status().summary.ready == "2/2"


def test_at_rest_nothing_is_written(bench: Bench) -> None:
    bench.begin(replicas=2)
    bench.cluster.writes.clear()
    bench.cluster.events.clear()
    for _ in range(5):
        bench.time += 60
        assert bench.look() == Seen(True, 30.0, None)
    assert bench.cluster.writes == []
    assert bench.cluster.events == []


def test_an_edit_of_a_knob_reaches_the_pods_without_touching_the_template(bench: Bench) -> None:
    bench.begin(replicas=2)
    before = bench.cluster.objects[("Deployment", "default", "clip")]
    bench.cluster.writes.clear()
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4, "semaphoreSize": 8}})
    bench.look()
    assert bench.cluster.writes == [
        "apply ConfigMap clip-tuning",
        "annotate Pod clip-0",
        "annotate Pod clip-1",
        "status EmbeddingService clip",
    ]
    assert bench.cluster.objects[("Deployment", "default", "clip")] == before
    assert bench.cluster.tuning().generation == 2
    assert bench.condition("TuningInForce")[1:] == (
        "InForce",
        "generation 2 (numStreams 4, semaphoreSize 8) runs on every ready pod",
    )
    status = bench.cluster.status()
    assert (status.summary.streams, status.summary.semaphore) == ("4", "8")
    assert status.observed_generation == 2
    assert status.pool().in_force_since is not None
    assert "SettingChanged" in bench.reasons()


def test_a_pod_that_does_not_take_a_setting_is_named(bench: Bench) -> None:
    bench.begin(replicas=2)
    bench.reports.stubborn = {"clip-1"}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    assert bench.look().again_seconds == 1.0
    assert bench.condition("TuningInForce")[:2] == ("False", "Applying")
    assert bench.cluster.status().pool().in_force_since is None
    bench.time += 31
    assert bench.look().again_seconds == 10.0
    status, reason, message = bench.condition("TuningInForce")
    assert (status, reason) == ("False", "NotAcknowledged")
    assert "pod clip-1 does not take generation 2" in message
    assert "still runs generation 1" in message
    assert bench.condition("Degraded")[:2] == ("True", "TuningNotAcknowledged")
    assert bench.cluster.status().pool().pods[0].name == "clip-1"


def test_a_pod_that_looked_too_early_is_nudged_again_with_another_text(bench: Bench) -> None:
    bench.begin()
    bench.reports.stubborn = {"clip-0"}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    texts = []
    for _ in range(3):
        bench.look()
        texts.append(bench.cluster.pods()[0]["metadata"]["annotations"][NUDGE_ANNOTATION])
    assert texts == ["2", "2-2", "2-3"]


def test_a_pod_that_never_takes_it_is_not_nudged_for_ever(bench: Bench) -> None:
    bench.begin()
    bench.reports.stubborn = {"clip-0"}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    for _ in range(20):
        bench.look()
        bench.time += 60
    assert bench.cluster.writes.count("annotate Pod clip-0") == 6


def test_nudges_do_not_follow_from_each_other(bench: Bench) -> None:
    """A nudge is an event of the pod, and so another look: it must not nudge again at once."""
    bench.begin()
    bench.reports.stubborn = {"clip-0"}
    bench.reports.rejecting = {"clip-0": "no"}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    for _ in range(5):
        bench.look()
    assert bench.cluster.writes.count("annotate Pod clip-0") == 1


def test_a_pod_that_still_loads_is_not_nudged(bench: Bench) -> None:
    bench.cluster.create(resource())
    bench.look()
    bench.cluster.roll_out(ready=False)
    bench.reports.silent = {"clip-0"}
    bench.cluster.writes.clear()
    for _ in range(3):
        bench.look()
    assert "annotate Pod clip-0" not in bench.cluster.writes


def test_a_refused_file_is_reported_with_the_pods_words(bench: Bench) -> None:
    bench.begin()
    bench.reports.stubborn = {"clip-0"}
    bench.reports.rejecting = {"clip-0": "numStreams is 40, allowed: 1 to 32"}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    bench.look()
    assert bench.condition("TuningInForce")[1:] == (
        "Rejected",
        "pod clip-0 refused generation 2: numStreams is 40, allowed: 1 to 32",
    )


def test_the_tuners_setting_holds_until_the_user_edits_his(bench: Bench) -> None:
    bench.begin()
    _tune(bench, Setting(3, 9))
    bench.look()
    assert bench.cluster.tuning().default == Setting(3, 9)
    bench.cluster.edit(SERVICES, "clip", {"spec": {"semaphoreSize": 5}})
    bench.look()
    assert bench.cluster.tuning().default == Setting(1, 5)
    assert bench.cluster.tuning().pods == {}


def test_a_canary_runs_its_own_setting(bench: Bench) -> None:
    bench.begin(replicas=2)
    _tune(bench, Setting(1, 4), {"clip-1": Setting(2, 8)})
    bench.look()
    assert bench.cluster.tuning().for_pod("clip-1") == Setting(2, 8)
    assert bench.cluster.tuning().for_pod("clip-0") == Setting(1, 4)
    assert bench.cluster.status().summary.streams == "1 > 2"


def test_a_lost_tuning_file_comes_back_with_a_higher_generation(bench: Bench) -> None:
    bench.begin()
    bench.cluster.remove(CONFIG_MAP, "clip-tuning")
    bench.look()
    assert bench.cluster.tuning().generation == 2
    assert bench.condition("Ready")[0] == "True"


def test_a_child_changed_by_somebody_is_repaired_and_named(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(DEPLOYMENT, "clip", {"spec": {"replicas": 7}})
    bench.look()
    assert bench.cluster.objects[("Deployment", "default", "clip")]["spec"]["replicas"] == 1
    drift = [event for event in bench.cluster.events if event.reason == "DriftRepaired"]
    assert [event.message for event in drift] == ["Deployment clip: spec.replicas is 7, wanted 1"]


def test_what_others_add_stays(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(DEPLOYMENT, "clip", {"metadata": {"annotations": {"team": "search"}}})
    bench.cluster.writes.clear()
    bench.look()
    assert bench.cluster.writes == []


def test_a_volume_that_is_wanted_no_more_goes(bench: Bench) -> None:
    bench.begin(images={"volume": {"hostPath": {"path": "/pictures"}}})
    assert "images" in _volumes(bench)
    bench.cluster.edit(SERVICES, "clip", {"spec": {"images": None}})
    bench.look()
    assert "images" not in _volumes(bench)


def test_an_object_of_somebody_else_is_never_touched(bench: Bench) -> None:
    theirs = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": []}}
    bench.cluster.create({**theirs, "metadata": {"name": "clip", "namespace": "default"}})
    bench.cluster.create(resource())
    bench.look()
    assert bench.cluster.objects[("Service", "default", "clip")]["spec"] == {"ports": []}
    status, reason, message = bench.condition("Ready")
    assert (status, reason) == ("False", "NameTaken")
    assert message == (
        "Service clip exists and it was not made by Sluice: rename the resource or remove it"
    )


def test_a_taken_name_does_not_make_it_write_again_and_again(bench: Bench) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}
    bench.cluster.create({**theirs, "metadata": {"name": "clip-tuning", "namespace": "default"}})
    bench.cluster.create(resource())
    bench.look()
    bench.cluster.writes.clear()
    bench.look()
    assert bench.cluster.writes == []
    assert bench.cluster.status().pool().generation == 0


def test_a_spec_that_cannot_be_read_leaves_what_runs(bench: Bench) -> None:
    bench.begin()
    children = {key: each for key, each in bench.cluster.objects.items() if key[0] != SERVICES.kind}
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 99}})
    bench.look()
    for key, manifest in children.items():
        assert bench.cluster.objects[key] == manifest
    status, reason, message = bench.condition("Ready")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.numStreams" in message
    assert "What ran before goes on" in message
    assert bench.condition("TuningInForce")[0] == "True"
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 2}})
    bench.look()
    assert bench.condition("Ready")[0] == "True"


def test_a_child_that_the_api_server_refuses_is_told(bench: Bench) -> None:
    bench.cluster.create(resource())
    bench.cluster.fail("apply", DEPLOYMENT, Refused("spec.x: Invalid value"))
    bench.look()
    assert bench.condition("Degraded") == (
        "True",
        "ChildRefused",
        "Deployment clip: spec.x: Invalid value",
    )


def test_a_missing_right_is_told_in_the_api_servers_words(bench: Bench) -> None:
    bench.cluster.create(resource())
    bench.cluster.fail("apply", SERVICE, Forbidden("services is forbidden: User x cannot patch"))
    bench.look()
    assert bench.condition("Degraded")[1] == "Forbidden"
    assert "services is forbidden" in bench.condition("Degraded")[2]


def test_entries_of_others_in_the_way_are_overwritten(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(SERVICE, "clip", {"spec": {"type": "NodePort"}})
    bench.cluster.fail("apply", SERVICE, Refused("spec.ports[1].name: Duplicate value"))
    bench.look()
    assert "overwrite Service clip" in bench.cluster.writes
    assert bench.cluster.objects[("Service", "default", "clip")]["spec"]["type"] == "ClusterIP"


def test_an_edit_in_the_middle_of_a_look_ends_it_and_nothing_is_reported(bench: Bench) -> None:
    bench.begin()
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 2}})
    bench.cluster.fail("status", SERVICES, Conflict("modified"))
    with pytest.raises(Conflict):
        bench.look()
    bench.look()
    assert bench.cluster.status().observed_generation == 2


@pytest.mark.parametrize("crash", ["apply ConfigMap", "annotate Pod", "status EmbeddingService"])
def test_a_look_that_broke_off_anywhere_is_finished_by_the_next(bench: Bench, crash: str) -> None:
    bench.begin()
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 4}})
    bench.cluster.failures[crash] = [ClusterError("the API server went away")]
    with pytest.raises(ClusterError):
        bench.look()
    bench.look()
    assert bench.cluster.tuning().default.num_streams == 4
    assert bench.condition("Ready")[0] == "True"


def test_a_service_scaled_to_nothing_says_so(bench: Bench) -> None:
    bench.begin(replicas=0)
    assert bench.condition("Ready")[:2] == ("False", "ScaledToZero")
    assert bench.condition("Degraded")[0] == "False"


def test_the_image_of_a_new_operator_does_not_restart_anything(bench: Bench) -> None:
    bench.begin()
    newer = Reconciler(
        bench.cluster, bench.reports, bench.instruments, "sluice/server:2", now=lambda: bench.time
    )
    bench.cluster.writes.clear()
    asyncio.run(newer(KEY))
    assert bench.cluster.writes == []
    assert bench.cluster.status().image == "sluice/server:1"


def test_a_resource_that_is_gone_or_going_is_left_alone(bench: Bench) -> None:
    assert bench.look() == Seen(False)
    bench.cluster.create(resource())
    bench.cluster.edit(SERVICES, "clip", {"metadata": {"deletionTimestamp": "2026-01-01"}})
    assert bench.look() == Seen(False)
    assert bench.cluster.writes == []


def test_a_condition_keeps_its_time_while_its_status_stays(bench: Bench) -> None:
    bench.begin()
    ready = bench.cluster.status().condition("Ready")
    bench.time += 100
    bench.cluster.edit(SERVICES, "clip", {"spec": {"numStreams": 2}})
    bench.look()
    later = bench.cluster.status().condition("Ready")
    assert ready is not None
    assert later is not None
    assert later.last_transition_time == ready.last_transition_time
    assert later.observed_generation == 2


def _tune(bench: Bench, setting: Setting, pods: dict[str, Setting] | None = None) -> None:
    """The tuner writes a setting into status."""
    service = asyncio.run(bench.cluster.service(KEY))
    assert service is not None
    assert service.spec is not None
    pool = service.status.pool()
    memory = pool.tuning.model_copy(update={"base": Knobs.of(service.spec.setting)})
    overrides = {name: Knobs.of(each) for name, each in (pods or {}).items()}
    update = {"setting": Knobs.of(setting), "pod_settings": overrides, "tuning": memory}
    status = service.status.model_copy(update={"pools": [pool.model_copy(update=update)]})
    asyncio.run(bench.cluster.write_status(service, status))


def _volumes(bench: Bench) -> list[str]:
    live = bench.cluster.objects[("Deployment", "default", "clip")]
    return [each["name"] for each in live["spec"]["template"]["spec"]["volumes"]]
