"""The next move: computed, inside every rule, and only when it is worth it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.api.tuning import SemaphoreBounds, StreamBounds, TuningBounds
from embedding_operator.tuning.demands import demands
from embedding_operator.tuning.planner import Move, Situation, plan
from embedding_operator.tuning.point import Point
from embedding_operator.tuning.rules import Rules
from simulation.figures import Figures

FULL = Figures(inflight=1.0, waiting=10.0)
GATED = FULL.but(permits=1, cpu=0.3, lanes=0.3, host=0.05)


def situation(figures: Figures, bounds: TuningBounds | None = None, **more: object) -> Situation:
    sample = figures.sample
    at = Point(figures.streams, figures.permits, figures.workers, figures.on_gpu)
    costs = demands(sample, at, 32)
    assert costs is not None
    rules = Rules(bounds or TuningBounds(), sample, at)
    return Situation(costs, sample, rules, **more)  # type: ignore[arg-type]


def move(figures: Figures, bounds: TuningBounds | None = None, **more: object) -> Move:
    found = plan(situation(figures, bounds, **more))
    assert isinstance(found, Move), found
    return found


def test_a_gate_that_is_too_narrow_is_opened_in_one_move() -> None:
    found = move(GATED)
    assert found.kind == "Jump"
    assert found.to.permits >= 4
    assert found.to.streams == GATED.streams
    assert found.gain > 1
    assert "permits" in found.reason


def test_lanes_and_permits_move_together() -> None:
    found = move(FULL.but(streams=1, permits=2, lanes=1.0, cpu=0.15, host=0.05, memory=0.2))
    assert found.to.streams >= 3
    assert found.to.permits > 2


def test_a_jump_never_takes_decode_threads_away() -> None:
    assert move(GATED.but(workers=8)).to.workers >= 8


def test_decoding_moves_to_a_gpu_that_can_do_it() -> None:
    busy = FULL.but(cpu=0.97, decode=0.95, gpu=0.1, memory=0.2, gpu_decode_seconds=0.0005)
    assert move(busy).to.on_gpu
    stays = plan(situation(busy, decode_moves=False))
    assert isinstance(stays, str) or not stays.to.on_gpu


def test_a_full_cpu_ends_in_words_not_in_lanes() -> None:
    found = plan(situation(FULL.but(cpu=0.97, streams=1, host=0.3)))
    assert isinstance(found, str)
    assert "cpu" in found


def test_a_light_load_changes_nothing_unless_the_objective_is_broken() -> None:
    light = Figures(cpu=0.3, lanes=0.5, streams=1, permits=8, decode=0.7, workers=2)
    assert "does not fill" in str(plan(situation(light)))
    assert "does not fill" in str(plan(situation(light, p95_objective=1.0)))


def test_a_broken_objective_under_light_load_is_a_move_for_latency() -> None:
    slow = Figures(cpu=0.2, host=0.05, lanes=0.82, streams=1, p95_seconds=2.0)
    found = plan(situation(slow, p95_objective=0.5))
    assert isinstance(found, Move)
    assert found.kind == "Latency"
    assert found.to.streams > 1


def test_memory_that_runs_out_gives_lanes_back() -> None:
    found = move(FULL.but(memory=0.97, streams=4))
    assert (found.kind, found.to.streams) == ("Memory", 3)
    assert isinstance(plan(situation(FULL.but(memory=0.97, streams=1))), str)


def test_what_was_refused_is_not_proposed_again() -> None:
    first = move(GATED).to
    assert move(GATED, refused=[first]).to != first
    assert not move(GATED, refused_regions=[first]).to.near(first)


def test_laws_that_did_not_come_true_are_believed_less() -> None:
    assert move(GATED, correction=0.5).gain == pytest.approx(move(GATED).gain / 2)


def test_after_the_jumps_single_steps_come_and_then_nothing() -> None:
    lanes = FULL.but(streams=2, lanes=0.99, cpu=0.3, host=0.05)
    step = move(lanes, jumps=3)
    assert step.kind == "Polish"
    assert isinstance(plan(situation(lanes, jumps=3, polishes=5)), str)


def test_the_gpus_busy_time_alone_does_not_forbid_one_try_with_another_lane() -> None:
    found = move(FULL.but(streams=1, lanes=0.99, gpu=0.99, cpu=0.3, host=0.05, memory=0.2))
    assert found.to.streams > 1


shares = st.floats(0.0, 1.0)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    low, high = sorted((draw(st.integers(1, 32)), draw(st.integers(1, 32))))
    few, many = sorted((draw(st.integers(1, 200)), draw(st.integers(1, 200))))
    bounds = TuningBounds(
        num_streams=StreamBounds(min=low, max=high),
        semaphore_size=SemaphoreBounds(min=few, max=many),
    )
    figures = Figures(
        images=draw(st.floats(1, 1e5)), images_per_request=draw(st.floats(1, 100)),
        batch=draw(st.floats(1, 32)), streams=draw(st.integers(low, high)),
        permits=draw(st.integers(few, many)), workers=draw(st.integers(1, 64)),
        cores=draw(st.floats(0.5, 64)), cpu=draw(shares), gpu=draw(shares), host=draw(shares),
        copy=draw(shares), decode=draw(shares), lanes=draw(st.floats(0.01, 1.0)),
        inflight=draw(shares), waiting=draw(st.sampled_from([0.0, 0.1, 5.0, 100.0])),
        rejected=draw(st.sampled_from([0.0, 0.2])), memory=draw(st.none() | shares),
        p95_seconds=draw(st.floats(0.01, 30)),
        gpu_decode_seconds=draw(st.none() | st.floats(1e-5, 0.1)),
        lane_bytes=draw(st.floats(0, 8e9)),
    )  # fmt: skip
    objective = draw(st.none() | st.floats(0.01, 10))
    jumps, polishes = draw(st.integers(0, 4)), draw(st.integers(0, 6))
    return situation(figures, bounds, p95_objective=objective, jumps=jumps, polishes=polishes)


@given(situations())
def test_no_plan_ever_leaves_the_bounds_or_adds_lanes_to_a_full_cpu(given_: Situation) -> None:
    found = plan(given_)
    if isinstance(found, str):
        assert found
        return
    bounds, at, sample = given_.rules.bounds, given_.demands.at, given_.sample
    assert bounds.num_streams.holds(found.to.streams)
    assert bounds.semaphore_size.holds(found.to.permits)
    assert found.to != at
    if (sample.share("cpu") or 0) >= 0.90 and found.to.streams > at.streams:
        assert found.to.on_gpu
        assert not at.on_gpu
    used, total = sample.get("gpu_memory_used"), sample.get("gpu_memory_total")
    if used is not None and total and found.to.streams > at.streams:
        lane = sample.of("warmup_lane_bytes")
        assert used + (found.to.streams - at.streams) * lane <= 0.9 * total
