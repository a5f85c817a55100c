"""The arithmetic of a load's figures."""

import math

from hypothesis import given
from hypothesis import strategies as st

from load.figures import Answer, figures, percentile


def test_a_stretch_counts_what_ended_inside_it() -> None:
    answers = [
        Answer(9.9, 0.1, "ok", 4),
        Answer(10.0, 0.2, "ok", 4),
        Answer(11.0, 0.4, "ok", 4),
        Answer(11.5, 0.1, "refused"),
        Answer(11.9, 0.1, "failed", fault="500: no"),
        Answer(12.0, 0.1, "ok", 4),
    ]
    seen = figures(answers, 10.0, 12.0)
    assert (seen.ok, seen.refused, seen.failed, seen.images) == (2, 1, 1, 8)
    assert seen.images_per_second == 4.0
    assert (seen.p50_seconds, seen.p95_seconds) == (0.2, 0.4)
    assert seen.faults == ("1 x 500: no",)


def test_nothing_succeeded_gives_no_percentile() -> None:
    seen = figures([Answer(1.0, 0.1, "failed", fault="x")], 0.0, 2.0)
    assert math.isnan(seen.p95_seconds)
    assert seen.images_per_second == 0.0


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    seen = percentile(ordered, share)
    assert seen in ordered
    assert sum(value <= seen for value in ordered) >= share * len(ordered) - 1e-9
