"""Figures become shares; quantiles come from buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.tuning.sample import mean, quantile
from simulation.figures import Figures


def test_shares_are_busy_time_over_what_there_is() -> None:
    sample = Figures(cpu=0.25, decode=0.5, lanes=0.75, inflight=1.0, host=0.125).sample
    assert [sample.share(name) for name in ("cpu", "decode", "lanes", "permits", "host")] == [
        0.25, 0.5, 0.75, 1.0, 0.125,
    ]  # fmt: skip


def test_without_a_gpu_its_memory_is_unknown_not_zero() -> None:
    assert Figures().sample.share("memory") is None
    assert Figures(memory=0.5).sample.share("memory") == 0.5


def test_arrivals_hold_the_refused_requests() -> None:
    sample = Figures(images=90, rejected=0.1).sample
    assert sample.rejected == pytest.approx(0.1)
    assert sample.arrivals == pytest.approx(100)
    assert sample.images_per_request == pytest.approx(10)


def test_an_idle_pod_divides_by_nothing() -> None:
    sample = Figures(images=0.0, p95_seconds=1.0).sample
    assert sample.images_per_request == 1.0
    assert sample.rejected == 0.0
    assert sample.batch == 1.0
    assert sample.p95_seconds == 0.0
    assert not sample.saturated


def test_p95_is_interpolated_inside_its_bucket() -> None:
    assert quantile(0.5, {"1": 0.0, "2": 10.0, "+Inf": 10.0}) == pytest.approx(1.5)
    assert quantile(0.95, {"1": 1.0, "+Inf": 10.0}) == 1.0
    assert quantile(0.95, {}) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_a_quantile_lies_between_the_edges(counts: list[float], share: float) -> None:
    below = {str(edge + 1): sum(counts[: edge + 1]) for edge in range(len(counts))}
    below["+Inf"] = sum(counts)
    assert 0 <= quantile(share, below) <= len(counts)


def test_the_mean_keeps_only_what_every_sample_has() -> None:
    both = mean([Figures(cpu=0.2).sample, Figures(cpu=0.4, memory=0.5).sample])
    assert both.share("cpu") == pytest.approx(0.3)
    assert both.share("memory") is None
    with pytest.raises(ValueError, match="no samples"):
        mean([])
