"""Demands and bounds, checked against numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.tuning import Setting
from embedding_operator.tuning.demands import Demands, demands
from embedding_operator.tuning.laws import capacity, response_seconds
from embedding_operator.tuning.point import Point, resolve, to_setting
from simulation.figures import Figures

FULL = Figures(inflight=1.0, waiting=10.0)


def worked_out(figures: Figures) -> Demands:
    at = Point(figures.streams, figures.permits, figures.workers, figures.on_gpu)
    found = demands(figures.sample, at, 32)
    assert found is not None
    return found


def test_a_demand_is_busy_time_over_images() -> None:
    found = worked_out(Figures(images=100, cpu=0.5, cores=4, decode=0.25, workers=4, lanes=0.5))
    assert found.cpu == pytest.approx(0.02)
    assert found.decode == pytest.approx(0.01)
    assert found.hold == pytest.approx(0.08)


def test_without_images_there_are_no_demands() -> None:
    assert demands(Figures(images=0.0).sample, Point(1, 1, 1), 32) is None


def test_the_shape_of_a_lane_comes_from_two_warm_up_batches() -> None:
    found = worked_out(Figures(lane_seconds={1: 0.003, 32: 0.034}))
    assert found.fixed == pytest.approx(0.002)
    assert found.slope == pytest.approx(0.001)


def test_batch_sizes_between_the_ends_do_not_change_the_shape_of_a_lane() -> None:
    found = worked_out(Figures(lane_seconds={1: 0.003, 2: 0.02, 8: 0.001, 16: 0.03, 32: 0.034}))
    assert found.fixed == pytest.approx(0.002)
    assert found.slope == pytest.approx(0.001)


def test_the_bounds_are_what_there_is_over_the_demand() -> None:
    bounds = capacity(worked_out(FULL), Point(2, 8, 4)).bounds
    assert bounds["cpu"] == pytest.approx(0.985 * 100 / 0.5)
    assert bounds["host"] == pytest.approx(0.985 * 100 / 0.2)
    assert bounds["lanes"] == pytest.approx(0.985 * 100 / 0.5)
    assert bounds["decode"] == pytest.approx(0.985 * 100 / 0.3)


def test_where_permits_bind_the_laws_agree_with_the_measured_throughput() -> None:
    found = worked_out(FULL.but(permits=1, cpu=0.4, lanes=0.3))
    assert capacity(found, found.at).throughput == pytest.approx(100, rel=0.01)


def test_more_permits_lift_what_only_permits_hold() -> None:
    found = worked_out(FULL.but(permits=1, cpu=0.4, lanes=0.3))
    more = capacity(found, Point(2, 4, 4))
    assert more.throughput > 150
    assert capacity(found, Point(2, 1, 4)).permits > 1


def test_more_lanes_give_nothing_when_the_cpu_is_full() -> None:
    found = worked_out(FULL.but(cpu=0.96, lanes=0.6))
    assert capacity(found, Point(8, 8, 4)).throughput <= 1.05 * found.throughput


def test_on_a_cpu_lanes_share_the_cores_and_on_a_gpu_they_add_up() -> None:
    busy = FULL.but(
        lanes=0.98, cpu=0.4, streams=1, cores=2.0, permits=64, images_per_request=64.0, batch=29.4
    )
    on_cpu, on_gpu = worked_out(busy), worked_out(busy.but(memory=0.2))
    lanes = {streams: capacity(on_cpu, Point(streams, 8, 4)).bounds["lanes"] for streams in (2, 4)}
    assert lanes[4] == pytest.approx(lanes[2], rel=0.1)
    assert capacity(on_gpu, Point(2, 8, 4)).bounds["lanes"] > 1.2 * lanes[2]
    many = worked_out(busy.but(streams=4))
    assert capacity(many, many.at).bounds["lanes"] == pytest.approx(0.985 * 100 / 0.98)


def test_a_gpu_that_decodes_relieves_the_cpu() -> None:
    found = worked_out(
        FULL.but(cpu=0.96, decode=0.9, memory=0.3, gpu=0.2, gpu_decode_seconds=0.001)
    )
    moved = capacity(found, Point(2, 8, 4, on_gpu=True))
    assert moved.bounds["cpu"] > 5 * capacity(found, found.at).bounds["cpu"]


@given(
    st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.02, 0.95),
    st.integers(1, 16), st.integers(1, 64), st.integers(1, 16), st.booleans(),
)  # fmt: skip
def test_expectations_are_finite_positive_and_below_every_bound(  # noqa: PLR0917
    cpu: float, lanes: float, decode: float, host: float,
    streams: int, permits: int, workers: int, full: bool,
) -> None:  # fmt: skip
    figures = (FULL if full else Figures()).but(cpu=cpu, lanes=lanes, decode=decode, host=host)
    found = worked_out(figures)
    expected = capacity(found, Point(streams, permits, workers))
    assert 0 < expected.throughput <= expected.ceiling * (1 + 1e-9)
    assert expected.ceiling <= min(expected.bounds.values()) * (1 + 1e-9)
    assert 0 < expected.permits < 1e6
    assert 0 < response_seconds(found, expected) < 1e6


@given(st.integers(1, 63))
def test_more_permits_never_lower_what_the_laws_expect_at_one_batch_size(permits: int) -> None:
    found = worked_out(FULL.but(batch=30.0, images_per_request=64.0))
    less, more = (capacity(found, Point(2, n, 4)).throughput for n in (permits, permits + 1))
    assert more >= less * 0.97


def test_a_setting_keeps_its_words_for_knobs_that_did_not_move() -> None:
    sample = Figures(workers=6).sample
    current = Setting(2, 8)
    at = resolve(current, sample)
    assert at == Point(2, 8, 6, on_gpu=False)
    assert to_setting(Point(3, 9, 6), current, at) == Setting(3, 9, 0, "auto")
    assert to_setting(Point(2, 8, 4, on_gpu=True), current, at) == Setting(2, 8, 4, "gpu")
