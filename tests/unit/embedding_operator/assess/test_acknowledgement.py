"""What each pod runs, as status shows it."""

from embedding_contract.report import TuningReport
from embedding_contract.tuning import Setting
from embedding_operator.api.status import MAX_PODS
from embedding_operator.assess.acknowledgement import describe, judge_tuning, pod_statuses
from embedding_operator.assess.observed import Observed, TuningInForce
from embedding_operator.assess.pods import PodState

SETTING = Setting(2, 8)


def seen(*pods: PodState, **reports: TuningReport | str) -> Observed:
    tuning = TuningInForce(7, SETTING, 0.0)
    return Observed(1, len(pods), None, pods, reports, tuning)


def runs(generation: int, rejected: str | None = None) -> TuningReport:
    return TuningReport("x", generation, SETTING, SETTING, 0.0, rejected)


def test_pods_that_lag_come_first() -> None:
    observed = seen(
        PodState("a", ready=True), PodState("b", ready=True), PodState("c"),
        a=runs(7), b=runs(6, "out of range"),
    )  # fmt: skip
    shown = [(each.name, each.ready, each.generation) for each in pod_statuses(observed)]
    assert shown == [("b", True, 6), ("a", True, 7), ("c", False, None)]
    assert pod_statuses(observed)[0].rejected == "out of range"


def test_pods_that_leave_are_left_out_and_the_list_is_bounded() -> None:
    many = [PodState(f"p{index:02}", ready=True) for index in range(MAX_PODS + 5)]
    shown = pod_statuses(seen(*many, PodState("z", deleting=True)))
    assert len(shown) == MAX_PODS
    assert "z" not in [each.name for each in shown]


def test_a_pod_that_does_not_answer_is_named_with_the_reason() -> None:
    observed = seen(PodState("a", ready=True), PodState("b", ready=True), a="connection refused")
    assert judge_tuning(observed, 100.0) == (
        "False",
        "NotAcknowledged",
        "pod a does not take generation 7 (and 1 more): it did not answer (connection refused)",
    )


def test_without_a_file_nothing_is_known() -> None:
    observed = Observed(1, 1, None)
    assert judge_tuning(observed, 0.0)[:2] == ("Unknown", "NotWritten")


def test_a_setting_is_described_in_the_words_of_the_spec() -> None:
    assert describe(Setting(2, 8)) == "numStreams 2, semaphoreSize 8"
    assert describe(Setting(2, 8, 3, "gpu")) == (
        "numStreams 2, semaphoreSize 8, decodeWorkers 3, decodeDevice gpu"
    )
