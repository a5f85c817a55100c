"""The tuner on a real Prometheus: it recommends, freezes, tries, and survives being killed.

One service under one load, step by step, because every step needs minutes of measurements:
Recommend -> Prometheus stopped -> Auto without metrics -> Auto with metrics -> killed in a trial.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from inside.kubectl import Document
from inside.operator import Operator
from inside.service import Service
from inside.targets import Targets
from inside.wait import eventually, holds
from sluice_local.layout import Layout
from sluice_local.mark import marked

from e2e.component import stopped
from e2e.stay import Stay, lives
from load.generator import Load, Plan
from load.photographs import photographs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
WINDOW_SECONDS = 6
TUNING: Document = {
    "mode": "Recommend",
    "windowSeconds": WINDOW_SECONDS,
    "windows": 2,
    "bounds": {"numStreams": {"min": 1, "max": 4}, "semaphoreSize": {"min": 1, "max": 16}},
}


@pytest.fixture(scope="module")
def service(stay: Stay) -> Iterator[Service]:
    """One permit for six clients: there is something to find."""
    service = stay.service("tuned", numStreams=1, semaphoreSize=1, tuning=TUNING)
    yield service
    service.close()


@pytest.fixture(scope="module", autouse=True)
def load(service: Service) -> Iterator[Load]:
    plan = Plan(service.url(), photographs(6), clients=6, images=4, seconds=900)
    with Load(plan) as running:
        yield running


def state(service: Service) -> tuple[object, ...]:
    """Everything that a change by the tuner would show in."""
    pool = service.pool()
    path = f"/api/v1/namespaces/{service.namespace}/configmaps/{service.name}-tuning"
    spec = service.resource()["spec"]
    knobs = (spec["numStreams"], spec["semaphoreSize"])
    return str(pool["setting"]), pool["generation"], str(service.api.get(path)["data"]), knobs


def test_recommend_says_what_it_would_do_and_changes_nothing(
    service: Service, targets: Targets
) -> None:
    before, undisturbed = state(service), lives(service)
    memory = eventually(
        lambda: service.memory() if service.memory().get("recommendation") else None,
        "a recommendation", 120, every=1, last=lambda: str(service.memory()),
    )  # fmt: skip
    diagnosis, recommendation = memory["diagnosis"], memory["recommendation"]
    assert diagnosis["evidence"]
    assert all("value" in each and each["name"] for each in diagnosis["evidence"])
    assert "kubectl" in recommendation["patch"]
    assert recommendation["predictedGain"] > 0
    holds(lambda: state(service) == before, "nothing changes in Recommend", WINDOW_SECONDS * 3)
    assert not service.memory().get("trial")
    assert lives(service) == undisturbed
    targets.exactly("changes made in Recommend", "changes", 0, 0)


def test_without_prometheus_nothing_is_changed_and_a_condition_says_so(
    service: Service, targets: Targets
) -> None:
    service.wait_condition("MetricsAvailable", "True", 60)
    before = state(service)
    with stopped("prometheus"):
        found = service.wait_condition("MetricsAvailable", "False", 60)
        assert found["reason"]
        assert found["message"]
        service.patch({"tuning": {"mode": "Auto"}})
        holds(lambda: state(service) == before, "nothing changes blindly", WINDOW_SECONDS * 3)
        assert not service.memory().get("trial")
        targets.seen(
            "Prometheus stopped", "", found["reason"], "MetricsAvailable=False, 0 changes", met=True
        )
    service.wait_condition("MetricsAvailable", "True", 90)


def test_auto_makes_one_trial_and_records_its_evidence(
    service: Service, load: Load, targets: Targets
) -> None:
    undisturbed = lives(service)
    trial = eventually(
        lambda: service.memory().get("trial"), "a trial", 120, last=lambda: str(service.memory())
    )
    assert trial["from"] != trial["to"]
    assert trial["predictedGain"] > 0
    assert trial["reason"]
    assert trial["baseline"]["windows"] >= 1
    entry = verdict(service, trial["id"])
    assert entry["verdict"] in ("Kept", "RolledBack"), entry
    assert entry["message"]
    assert entry["measuredGain"] is not None
    setting = entry["to"] if entry["verdict"] == "Kept" else entry["from"]
    assert lives(service) == undisturbed
    figures = load.figures()
    assert figures.failed == 0, figures.faults
    targets.seen("verdict of the first trial", "", entry["verdict"], "Kept or RolledBack", met=True)
    targets.exactly("failed requests during the trial", "requests", figures.failed, 0)
    assert setting["numStreams"] >= 1


def verdict(service: Service, number: int) -> Document:
    """The history's entry of a trial, once it has one."""

    def entry() -> Document | None:
        history: list[Document] = service.memory().get("history", [])
        return next((each for each in history if each["id"] == number), None)

    return eventually(entry, f"a verdict on trial {number}", 240, last=lambda: str(service.pool()))


def test_a_trial_outlives_the_operator(
    service: Service, operator: Operator, load: Load, targets: Targets
) -> None:
    undisturbed, restarts = lives(service), operator.restarts()
    # The user's edit cancels whatever runs and starts a new base: one permit again.
    service.patch({"numStreams": 2, "semaphoreSize": 1})
    base = {"numStreams": 2, "semaphoreSize": 1}
    trial = eventually(
        lambda: opened(service, base), "a trial from the new base", 180, every=0.2,
        last=lambda: str(service.memory()),
    )  # fmt: skip
    kill_operator()
    eventually(lambda: operator.restarts() > restarts, "the operator was started again", 60)
    entry = verdict(service, trial["id"])
    kept = entry["to"] if entry["verdict"] == "Kept" else entry["from"]
    targets.seen(
        "operator killed in a trial", "", entry["verdict"], "finished or reverted",
        met=entry["verdict"] in ("Kept", "RolledBack", "Aborted"),
    )  # fmt: skip
    assert entry["verdict"] in ("Kept", "RolledBack", "Aborted"), entry
    service.patch({"tuning": {"suspend": True}})
    service.wait_condition("TuningInForce", "True", 60)
    assert kept["semaphoreSize"] >= 1
    running = [report.setting for report in service.reports()]
    setting = service.pool()["setting"]
    assert all(each.semaphore_size == setting["semaphoreSize"] for each in running)
    assert lives(service) == undisturbed
    assert load.figures().failed == 0


def opened(service: Service, base: Document) -> Document | None:
    """An open trial that starts from these knobs."""
    trial: Document = service.memory().get("trial") or {}
    start = trial.get("from", {})
    return trial if all(start.get(knob) == value for knob, value in base.items()) else None


def kill_operator() -> None:
    """SIGKILL to the operator's own process, as the kernel would do it."""
    mark = Layout.of_this_checkout().mark
    operators = [pid for pid in marked(mark) if is_operator(pid)]
    assert len(operators) == 1, operators
    os.kill(operators[0], signal.SIGKILL)


def is_operator(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return b"python" in words[0] and any(word.endswith(b"/sluice-operator") for word in words)
