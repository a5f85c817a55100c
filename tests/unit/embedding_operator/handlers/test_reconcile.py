"""One look at one resource, against a cluster in memory."""

import asyncio

import pytest

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import Knobs
from embedding_operator.clients.kinds import (
    CHILDREN,
    CONFIG_MAP,
    SERVICES,
)
from embedding_operator.errors import ClusterError, Conflict
from embedding_operator.handlers.reconcile import Reconciler, Seen
from fakes.cluster import resource
from fakes.reconciling import KEY, Bench


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
