"""The hard rules refuse in words."""

import pytest

from embedding_operator.api.tuning import DecodeWorkerBounds, StreamBounds, TuningBounds
from embedding_operator.tuning.point import Point
from embedding_operator.tuning.rules import Rules
from simulation.figures import Figures

AT = Point(2, 8, 4)


def rules(figures: Figures, **more: object) -> Rules:
    return Rules(more.pop("bounds", TuningBounds()), figures.sample, AT, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", [Point(9, 8, 4), Point(2, 65, 4), Point(2, 8, 300)])
def test_nothing_leaves_the_bounds(to: Point) -> None:
    assert "bounds" in str(rules(Figures()).refuse(to))


def test_decode_threads_that_stay_need_no_place_in_the_bounds() -> None:
    bounds = TuningBounds(decode_workers=DecodeWorkerBounds(min=0, max=0))
    assert rules(Figures(), bounds=bounds).refuse(Point(3, 8, 4)) is None
    assert rules(Figures(), bounds=bounds).refuse(Point(3, 8, 5)) is not None


def test_a_full_cpu_gets_no_lane_unless_decoding_leaves_it() -> None:
    full = rules(Figures(cpu=0.90))
    assert "CPU" in str(full.refuse(Point(3, 8, 4)))
    assert full.refuse(Point(3, 8, 4, on_gpu=True)) is None
    assert full.refuse(Point(1, 8, 4)) is None
    assert rules(Figures(cpu=0.89)).refuse(Point(3, 8, 4)) is None


def test_lanes_need_the_gpu_memory_that_warm_up_measured() -> None:
    tight = rules(Figures(memory=0.85, lane_bytes=1e9))
    assert "memory" in str(tight.refuse(Point(3, 8, 4)))
    assert rules(Figures(memory=0.80, lane_bytes=1e9)).refuse(Point(3, 8, 4)) is None


def test_permits_need_the_containers_memory() -> None:
    small = rules(Figures(permit_bytes=16e6), host_memory_bytes=512e6)
    assert "memory" in str(small.refuse(Point(2, 17, 4)))
    assert small.refuse(Point(2, 16, 4)) is None
    assert rules(Figures(permit_bytes=16e6)).refuse(Point(2, 64, 4)) is None


def test_bounds_that_are_tighter_than_the_setting_allow_the_way_in() -> None:
    bounds = TuningBounds(num_streams=StreamBounds(min=1, max=1))
    assert rules(Figures(), bounds=bounds).refuse(Point(1, 8, 4)) is None
