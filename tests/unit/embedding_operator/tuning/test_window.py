"""Absent is not zero: every fault of the metrics makes a gap that says what to do."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.tuning.queries import REQUIRED, Series
from embedding_operator.tuning.window import MetricsGap, Window, build_windows, instants
from simulation.figures import Figures, answers

ENDS = instants(1000.0, 30.0, 3)
PODS = {"a": 0.0, "b": 0.0}
FIGURES = {"a": Figures(), "b": Figures(cpu=0.7)}
Answer = dict[str, list[Series]]


def built(answer: Answer, pods: dict[str, float] = PODS) -> tuple[Window, ...]:
    result = build_windows(answer, pods, ENDS, 30.0)
    assert isinstance(result, tuple), result
    return result


def gap(answer: Answer, pods: dict[str, float] = PODS) -> MetricsGap:
    result = build_windows(answer, pods, ENDS, 30.0)
    assert isinstance(result, MetricsGap), result
    return result


def drop(answer: Answer, name: str, keep: Callable[[Series, float], bool]) -> Answer:
    """Leave out points of one figure ("*" for all)."""
    return {
        key: [
            Series(one.labels, tuple(point for point in one.points if keep(one, point[0])))
            for one in several
        ]
        if name in (key, "*")
        else several
        for key, several in answer.items()
    }


def replaced(answer: Answer, name: str, value: float) -> Answer:
    """Put a value in the newest point of pod a."""
    return {
        key: [
            Series(
                one.labels,
                tuple((t, value if t == ENDS[-1] else v) for t, v in one.points),
            )
            if one.labels["pod"] == "a"
            else one
            for one in several
        ]
        if key == name
        else several
        for key, several in answer.items()
    }


def test_complete_answers_make_a_row_of_windows() -> None:
    row = built(answers(FIGURES, ENDS))
    assert [(window.start, window.end) for window in row] == [
        (910.0, 940.0), (940.0, 970.0), (970.0, 1000.0),
    ]  # fmt: skip
    assert row[-1].over().share("cpu") == pytest.approx(0.6)
    assert row[-1].over(["b"]).share("cpu") == pytest.approx(0.7)


def test_nothing_at_all_is_missing() -> None:
    assert gap({}).reason == "Missing"


def test_samples_that_stopped_are_stale() -> None:
    found = gap(drop(answers(FIGURES, ENDS), "*", lambda _, time: time < ENDS[-1]))
    assert found.reason == "Stale"


def test_one_silent_pod_is_partial_and_named() -> None:
    found = gap(drop(answers(FIGURES, ENDS), "*", lambda one, _: one.labels["pod"] != "b"))
    assert found.reason == "Partial"
    assert "b" in found.message


@pytest.mark.parametrize("name", REQUIRED)
def test_one_required_figure_that_is_absent_is_partial(name: str) -> None:
    found = gap(drop(answers(FIGURES, ENDS), name, lambda one, _: one.labels["pod"] != "b"))
    assert found.reason == "Partial"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 9.2e18])
def test_a_number_out_of_reason_is_a_gap_where_it_is_needed(value: float) -> None:
    found = gap(replaced(answers(FIGURES, ENDS), "cpu_busy", value))
    assert found.reason == "NotFinite"
    assert "cpu_busy" in found.message


def test_a_sentinel_in_place_of_gpu_memory_is_dropped() -> None:
    pods = {"a": Figures(memory=0.5), "b": Figures(memory=0.5)}
    row = built(replaced(answers(pods, ENDS), "gpu_memory_used", 9.2e18))
    assert row[-1].over(["a"]).memory is None
    assert row[-1].over(["b"]).memory == 0.5


def test_one_scrape_in_a_window_says_what_to_change() -> None:
    found = gap(replaced(answers(FIGURES, ENDS), "samples", 1.0))
    assert found.reason == "Partial"
    assert "windowSeconds" in found.message


def test_an_older_hole_only_ends_the_row() -> None:
    row = built(drop(answers(FIGURES, ENDS), "images", lambda _, time: time != ENDS[1]))
    assert [window.end for window in row] == [ENDS[-1]]


def test_a_young_pod_is_waited_for_and_is_no_fault() -> None:
    assert built(answers({"a": Figures()}, ENDS), {"a": 0.0, "b": 985.0}) == ()
    assert len(built(answers(FIGURES, ENDS), {"a": 0.0, "b": 945.0})) == 1


def test_points_of_other_pods_and_times_are_ignored() -> None:
    answer = answers({**FIGURES, "stranger": Figures(cpu=1.0)}, [*ENDS, 5000.0])
    assert set(built(answer)[-1].pods) == {"a", "b"}


@given(
    st.dictionaries(
        st.sampled_from(REQUIRED),
        st.sampled_from([math.nan, math.inf, -1e30, 9.3e18]),
        min_size=1,
    )
)
def test_no_broken_figure_ever_reaches_a_window(broken: dict[str, float]) -> None:
    answer = answers(FIGURES, ENDS)
    for name, value in broken.items():
        answer = replaced(answer, name, value)
    assert gap(answer).reason in {"NotFinite", "Partial"}
