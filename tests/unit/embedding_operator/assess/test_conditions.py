"""The five conditions, and the law that Ready obeys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.report import TuningReport
from embedding_contract.tuning import Setting
from embedding_operator.api.status import Condition
from embedding_operator.assess.conditions import ORDER, assess, with_condition
from embedding_operator.assess.observed import Observed, Trouble, TuningInForce
from embedding_operator.assess.pods import PodState
from embedding_operator.assess.rollout import Rollout

SETTING = Setting(2, 8)
DONE = Rollout(2, 2, 2, 2, 2, observed=True)
PODS = (PodState("a", ready=True), PodState("b", ready=True))


def runs(pod: str, generation: int | None = 7, rejected: str | None = None) -> TuningReport:
    return TuningReport(pod, generation, SETTING, SETTING, 0.0, rejected)


GOOD = Observed(
    generation=3,
    replicas=2,
    rollout=DONE,
    pods=PODS,
    reports={"a": runs("a"), "b": runs("b")},
    tuning=TuningInForce(7, SETTING, 1000.0),
)


def judged(observed: Observed, now: float = 1001.0) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in assess(observed, [], now)}


def test_all_is_well() -> None:
    assert judged(GOOD) == {
        "Ready": ("True", "AllPodsReady"),
        "Progressing": ("False", "Complete"),
        "Degraded": ("False", "AsExpected"),
        "TuningInForce": ("True", "InForce"),
        "MetricsAvailable": ("Unknown", "NotAsked"),
    }


def test_conditions_come_in_a_fixed_order_with_the_generation() -> None:
    conditions = assess(GOOD, [], 1.0)
    assert tuple(each.type for each in conditions) == ORDER
    assert {each.observed_generation for each in conditions} == {3}


ROLLOUTS = st.builds(
    Rollout, st.just(2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2),
    st.integers(1, 2), observed=st.booleans(),
)  # fmt: skip
REPORTS = st.sampled_from([runs("x"), runs("x", 6), runs("x", None), "connection refused"])


@given(ROLLOUTS, REPORTS, REPORTS, st.booleans())
def test_ready_is_true_only_when_everything_is(
    rollout: Rollout, first: TuningReport | str, second: TuningReport | str, trouble: bool
) -> None:
    observed = replace(
        GOOD,
        rollout=rollout,
        reports={"a": first, "b": second},
        trouble=Trouble("InvalidSpec", "no") if trouble else None,
    )
    everything = (
        not trouble
        and rollout == DONE
        and all(isinstance(each, TuningReport) and each.generation == 7 for each in (first, second))
    )
    assert (judged(observed)["Ready"][0] == "True") == everything


def test_old_pods_that_are_ready_do_not_make_a_stuck_rollout_ready() -> None:
    stuck = replace(
        GOOD,
        rollout=Rollout(2, 2, 1, 1, 1, observed=True),
        pods=(PodState("a", ready=True), PodState("c", unschedulable="no GPU left")),
    )
    found = judged(stuck)
    assert found["Ready"] == ("False", "Unschedulable")
    assert found["Degraded"] == ("True", "Unschedulable")
    assert found["Progressing"] == ("False", "Unschedulable")
    assert found["TuningInForce"] == ("True", "InForce")


def test_a_rollout_without_a_cause_is_progress() -> None:
    found = judged(replace(GOOD, rollout=Rollout(2, 2, 1, 1, 1, observed=True)))
    assert found["Ready"] == ("False", "RollingOut")
    assert found["Progressing"] == ("True", "RollingOut")
    assert found["Degraded"] == ("False", "AsExpected")


def test_a_new_setting_on_its_way_is_progress_and_after_the_deadline_a_fault() -> None:
    late = replace(GOOD, reports={"a": runs("a"), "b": runs("b", 6)})
    assert judged(late, 1029.0)["Progressing"] == ("True", "ApplyingTuning")
    assert judged(late, 1029.0)["Degraded"][0] == "False"
    assert judged(late, 1031.0)["TuningInForce"] == ("False", "NotAcknowledged")
    assert judged(late, 1031.0)["Degraded"] == ("True", "TuningNotAcknowledged")


def test_a_refused_setting_is_a_fault_at_once() -> None:
    refused = replace(GOOD, reports={"a": runs("a"), "b": runs("b", 6, "out of range")})
    assert judged(refused)["Degraded"] == ("True", "TuningRejected")


def test_an_old_refusal_does_not_count_once_the_pod_runs_the_file() -> None:
    over = replace(GOOD, reports={"a": runs("a"), "b": runs("b", 7, "out of range")})
    assert judged(over)["TuningInForce"] == ("True", "InForce")


def test_pods_that_are_not_ready_are_not_asked_for_their_word() -> None:
    starting = replace(GOOD, pods=(PODS[0], PodState("b")), reports={"a": runs("a")})
    assert judged(starting)["TuningInForce"] == ("True", "InForce")


@pytest.mark.parametrize(("replicas", "reason"), [(0, "ScaledToZero"), (2, "NoReadyPods")])
def test_without_a_ready_pod_nobody_knows(replicas: int, reason: str) -> None:
    nobody = replace(GOOD, replicas=replicas, pods=(), reports={})
    assert judged(nobody)["TuningInForce"] == ("Unknown", reason)


def test_the_tuners_own_condition_is_left_alone() -> None:
    mine = Condition(type="MetricsAvailable", status="False", reason="Stale")
    other = Condition(type="Special", status="True", reason="Theirs")
    conditions = assess(GOOD, [other, mine], 1.0)
    assert mine in conditions
    assert conditions[-1] == other


def test_a_time_moves_only_with_the_status() -> None:
    first = with_condition([], "Ready", ("False", "A", "a"), 1, 10.0)
    second = with_condition(first, "Ready", ("False", "B", "b"), 2, 20.0)
    third = with_condition(second, "Ready", ("True", "C", "c"), 2, 30.0)
    assert [each[0].last_transition_time for each in (first, second, third)] == [10.0, 10.0, 30.0]
    assert second[0].reason == "B"
