"""Two kernels at once keep one device busy once."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from embedding_service.engine.busy_union import BusyUnion


def test_overlapping_intervals_count_once() -> None:
    union = BusyUnion()
    assert union.add(1.0, 3.0) == 2.0
    assert union.add(2.0, 4.0) == 1.0
    assert union.add(2.5, 3.5) == 0.0
    assert union.add(6.0, 7.0) == 1.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10))))
def test_intervals_in_order_of_their_ends_give_the_exact_union(
    starts: list[tuple[int, int]],
) -> None:
    intervals = sorted(((start, start + length) for start, length in starts), key=lambda x: x[1])
    union = BusyUnion()
    total = sum(union.add(float(start), float(end)) for start, end in intervals)
    covered = {second for start, end in intervals for second in range(start, end)}
    assert total <= len(covered)
    if all(a[0] <= b[0] for a, b in itertools.pairwise(intervals)):
        assert total == len(covered)


def test_the_ratio_is_between_nothing_and_all() -> None:
    union = BusyUnion()
    union.add(0.0, 1000.0)
    assert union.ratio() == 1.0
    assert union.ratio() == 0.0
