"""The class is the innermost full resource, with its numbers."""

import pytest

from embedding_operator.tuning.diagnosis import classify, diagnose
from simulation.figures import Figures, windows

FULL = Figures(inflight=1.0, waiting=10.0)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (FULL.but(memory=0.96, cpu=0.99), "MemoryBound"),
        (FULL.but(cpu=0.95, lanes=0.99, decode=0.99), "CPUBound"),
        (FULL.but(gpu=0.9, lanes=0.99), "GPUSaturated"),
        (FULL.but(cpu=0.94, gpu=0.97), "GPUSaturated"),
        (FULL.but(host=0.9, lanes=0.99), "HostBound"),
        (FULL.but(copy=0.95, lanes=0.99), "CopyBound"),
        (FULL.but(decode=0.95), "DecodeLimited"),
        (FULL.but(lanes=0.98), "StreamLimited"),
        (FULL.but(lanes=0.96), "AdmissionLimited"),
        (FULL, "AdmissionLimited"),
        (Figures(), "ClientLimited"),
        (Figures(inflight=0.99), "ClientLimited"),
        (Figures(cpu=0.87), "Balanced"),
        (Figures(waiting=5.0), "Balanced"),
        (Figures(rejected=0.05), "Balanced"),
    ],
)
def test_the_innermost_full_resource_is_blamed(figures: Figures, expected: str) -> None:
    assert classify(figures.sample) == expected


def test_a_diagnosis_shows_numbers_thresholds_and_a_remedy() -> None:
    verdict = diagnose(windows({"a": FULL.but(cpu=0.95)}, 3), 0.4, None, 100.0)
    assert verdict.bottleneck == "CPUBound"
    assert verdict.since == 100.0
    assert verdict.confidence == 1.0
    assert verdict.slo_violated
    cpu = next(one for one in verdict.evidence if one.name == "CPU busy")
    assert (cpu.value, cpu.threshold) == (0.95, 0.93)
    assert "95 %" in verdict.message
    assert "decodeDevice" in verdict.remedy


def test_an_unchanged_class_keeps_its_beginning() -> None:
    first = diagnose(windows({"a": FULL}, 3), None, None, 100.0)
    assert diagnose(windows({"a": FULL}, 3), None, first, 200.0).since == 100.0
    assert diagnose(windows({"a": Figures()}, 3), None, first, 200.0).since == 200.0


def test_a_class_at_its_threshold_does_not_swing() -> None:
    just_below = FULL.but(lanes=0.95).sample
    assert classify(just_below) == "AdmissionLimited"
    assert classify(just_below, "StreamLimited") == "StreamLimited"
    assert classify(FULL.but(lanes=0.93).sample, "StreamLimited") == "AdmissionLimited"


def test_few_requests_scatter_and_are_not_called_unstable_for_that() -> None:
    few = [FULL.but(images=images, images_per_request=40.0) for images in (4.0, 8.0, 8.0, 4.0, 8.0)]
    scattered = tuple(window for one in few for window in windows({"a": one}, 1))
    assert diagnose(scattered, None, None, 0.0).bottleneck == "AdmissionLimited"


def test_windows_that_disagree_lower_the_confidence() -> None:
    mixed = (*windows({"a": FULL.but(cpu=0.99)}, 2), *windows({"a": FULL.but(cpu=0.85)}, 1))
    verdict = diagnose(mixed, None, None, 0.0)
    assert verdict.bottleneck == "CPUBound"
    assert verdict.confidence == pytest.approx(2 / 3, abs=1e-3)


def test_a_wide_spread_under_full_load_is_unstable() -> None:
    jumpy = (*windows({"a": FULL.but(images=20.0)}, 2), *windows({"a": FULL.but(images=200.0)}, 2))
    assert diagnose(jumpy, None, None, 0.0).bottleneck == "Unstable"


def test_a_load_that_comes_in_the_middle_is_no_steady_load() -> None:
    idle = Figures(images=0.0, lanes=0.0)
    coming = (*windows({"a": idle}, 4), *windows({"a": FULL.but(images=400.0)}, 2))
    assert diagnose(coming, None, None, 0.0).bottleneck == "Unstable"


def test_few_requests_are_no_ground_for_a_verdict_and_none_is_the_clients_choice() -> None:
    assert diagnose(windows({"a": FULL.but(images=0.5)}, 3), None, None, 0).bottleneck == "NoData"
    idle = diagnose(windows({"a": Figures(images=0.0, lanes=0.0)}, 3), None, None, 0.0)
    assert idle.bottleneck == "ClientLimited"
    assert idle.message == "No requests in 90 s."
