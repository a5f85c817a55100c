"""Pods take a new setting at once, and the one that does not is named."""

import pytest

from embedding_contract.endpoints import NUDGE_ANNOTATION
from embedding_operator.clients.kinds import (
    SERVICES,
)
from fakes.cluster import resource
from fakes.reconciling import Bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


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
