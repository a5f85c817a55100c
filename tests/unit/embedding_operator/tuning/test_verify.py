"""Keep what gives 3 % and more than the error; stop what harms; never judge the load."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.api.tuning import Knobs, Measurement, MoveKind, Trial
from embedding_operator.tuning.verify import Judgement, confirm, fatal, judge, load_left
from simulation.figures import Figures

SMALL, LARGE = Knobs(num_streams=1, semaphore_size=1), Knobs(num_streams=1, semaphore_size=4)


def measured(
    images: float, windows: int = 3, spread: float = 0.02, *, saturated: bool = True,
    capacity: float | None = None, p95: float = 1.0, rejected: float = 0.0,
) -> Measurement:  # fmt: skip
    return Measurement(
        log_throughput=math.log(images), log_p95=math.log(p95),
        log_capacity=math.log(capacity or images), spread=spread, windows=windows,
        saturated=saturated, rejected=rejected,
    )  # fmt: skip


def trial(baseline: Measurement, kind: MoveKind = "Jump", **more: object) -> Trial:
    return Trial(
        id=1, kind=kind, stage_since=0, started_at=0, deadline=1000, from_=SMALL, to=LARGE,
        predicted_gain=0.3, reason="because", baseline=baseline, **more,
    )  # fmt: skip


def judged(before: Measurement, after: Measurement, **more: object) -> Judgement:
    settings = {"noise": 0.03, "p95_objective": None, "most_windows": 12} | more
    kind = settings.pop("kind", "Jump")
    return judge(trial(before, kind), after, **settings)  # type: ignore[arg-type]


def test_a_large_gain_is_kept_at_once() -> None:
    found = judged(measured(100), measured(130))
    assert found.decision == "keep"
    assert found.gain == pytest.approx(0.30, abs=0.01)


def test_a_loss_is_rolled_back_at_once() -> None:
    assert judged(measured(100), measured(95)).decision == "roll back"


def test_a_small_gain_is_measured_longer_and_then_confirmed() -> None:
    assert judged(measured(100), measured(105)).decision == "more"
    last = judged(measured(100, 12), measured(105, 12), most_windows=12)
    assert last.decision == "confirm"


def test_two_percent_are_not_worth_it() -> None:
    assert judged(measured(100, 12), measured(102, 12)).decision == "roll back"


def test_noise_of_the_windows_counts() -> None:
    noisy = judged(measured(100, spread=0.3), measured(115, spread=0.3), noise=0.3)
    assert noisy.decision == "more"
    assert noisy.error > 0.15


def test_with_the_old_setting_drifted_up_too_nothing_was_gained() -> None:
    open_ = trial(measured(100), after=measured(106))
    assert confirm(open_, measured(106), 0.02).decision == "roll back"
    assert confirm(open_, measured(100), 0.02).decision == "keep"


def test_below_saturation_demands_decide_and_not_the_load() -> None:
    less_load = measured(60, saturated=False, capacity=130)
    found = judged(measured(100, capacity=100), less_load)
    assert found.basis == "demands"
    assert found.gain > 0.2


def test_a_canary_is_judged_beside_the_others() -> None:
    # Everything grew by 20 %, the canary by nothing more.
    quiet = trial(measured(100), control=measured(110))
    found = judge(
        quiet, measured(120, 12), measured(132, 12),
        noise=0.02, p95_objective=None, most_windows=12,
    )  # fmt: skip
    assert found.gain == pytest.approx(0.0, abs=0.01)
    assert found.decision == "roll back"
    better = judge(
        quiet, measured(150, 12), measured(132, 12),
        noise=0.02, p95_objective=None, most_windows=12,
    )  # fmt: skip
    assert better.decision == "keep"


def test_throughput_does_not_buy_a_broken_objective() -> None:
    found = judged(measured(100, p95=0.9), measured(150, p95=1.2), p95_objective=1.0)
    assert found.decision == "roll back"
    still_better = judged(measured(100, p95=2.0), measured(150, p95=1.2), p95_objective=1.0)
    assert still_better.decision == "keep"


def test_a_move_for_latency_is_judged_by_p95() -> None:
    slow, fast = measured(50, p95=2.0, saturated=False), measured(50, p95=1.0, saturated=False)
    assert judged(slow, fast, kind="Latency").decision == "keep"
    assert judged(slow, slow, kind="Latency", most_windows=3).decision == "roll back"


def test_a_harmful_trial_is_stopped_with_its_reason() -> None:
    calm = Figures().sample
    before = trial(measured(100, p95=0.5))
    assert fatal(before, calm, measured(98, p95=0.5), 1.0) is None
    assert "p95" in str(fatal(before, calm, measured(98, p95=1.6), 1.0))
    assert "throughput" in str(fatal(before, calm, measured(70), None))
    assert "refused" in str(fatal(before, calm, measured(98, rejected=0.02), None))
    assert "memory" in str(fatal(before, Figures(memory=0.98).sample, measured(98), None))


def test_a_load_that_left_is_no_fault_of_the_setting() -> None:
    gone = measured(40, saturated=False)
    assert load_left(trial(measured(100)), gone)
    assert fatal(trial(measured(100)), Figures().sample, gone, None) is None
    assert not load_left(trial(measured(100)), measured(40))


@given(st.floats(0.5, 2.0), st.integers(1, 12), st.floats(0, 0.3), st.floats(0.005, 0.3))
def test_less_than_three_percent_is_never_kept(
    ratio: float, windows: int, spread: float, noise: float
) -> None:
    found = judged(measured(100, 12), measured(100 * ratio, windows, spread), noise=noise)
    if found.decision in {"keep", "confirm"}:
        assert found.gain >= 0.03
        assert found.gain > 0.75 * found.error
