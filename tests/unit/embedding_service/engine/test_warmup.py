"""The table of lane seconds: its ends always, what lies between while there is time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.engine.warmup import batch_sizes, lane_table


class Lane:
    """A lane of h0 + h1 x images seconds that counts the time it was used."""

    def __init__(self, fixed: float, slope: float) -> None:
        self.fixed, self.slope = fixed, slope
        self.runs: list[int] = []

    def __call__(self, size: int) -> float:
        self.runs.append(size)
        return self.fixed + self.slope * size

    @property
    def between_seconds(self) -> float:
        ends = {1, max(self.runs)}
        return sum(self.fixed + self.slope * size for size in self.runs if size not in ends)


def test_sizes_are_powers_of_two_and_the_largest_itself() -> None:
    assert batch_sizes(1) == [1]
    assert batch_sizes(32) == [1, 2, 4, 8, 16, 32]
    assert batch_sizes(24) == [1, 2, 4, 8, 16, 24]


@settings(deadline=None)
@given(st.integers(1, 1024))
def test_the_labels_of_the_metric_are_few(max_batch: int) -> None:
    sizes = batch_sizes(max_batch)
    assert sizes == sorted(set(sizes))
    assert (sizes[0], sizes[-1]) == (1, max_batch)
    assert len(sizes) <= 11


def test_a_fast_lane_is_measured_at_every_size() -> None:
    lane = Lane(0.002, 0.0001)
    table = lane_table(lane, 32)
    assert list(table) == [1, 2, 4, 8, 16, 32]
    assert table[8] == 0.002 + 0.0001 * 8


def test_a_slow_lane_is_measured_at_the_ends_once_it_is_warm() -> None:
    lane = Lane(0.1, 1.0)
    assert list(lane_table(lane, 32)) == [1, 32]
    assert lane.runs == [1, 1, 1, 1, 32]


def test_the_first_run_of_a_size_does_not_count() -> None:
    times = iter([9.0, 0.01, 0.03, 0.02, *[0.1] * 100])
    assert lane_table(lambda size: next(times), 2)[1] == 0.01


@settings(deadline=None)
@given(
    st.integers(1, 1024), st.floats(1e-6, 10), st.floats(1e-6, 10), st.floats(0, 5)
)  # fmt: skip
def test_the_budget_holds_for_a_lane_that_obeys_the_law(
    max_batch: int, fixed: float, slope: float, budget: float
) -> None:
    lane = Lane(fixed, slope)
    table = lane_table(lane, max_batch, budget)
    assert {1, max_batch} <= set(table) <= set(batch_sizes(max_batch))
    assert list(table) == sorted(table)
    assert lane.between_seconds <= budget * (1 + 1e-6)
