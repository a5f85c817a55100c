"""Events tell of changes, never of a state that stays."""

from embedding_operator.api.status import Condition, ConditionStatus
from embedding_operator.assess.happenings import Happening, happenings


def condition(kind: str, status: ConditionStatus, reason: str, message: str = "m") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message)


READY = condition("Ready", "True", "AllPodsReady")
BROKEN = condition("Degraded", "True", "CrashLoop", "pod a exited 1")


def test_what_stays_says_nothing() -> None:
    assert happenings([READY, BROKEN], [READY, BROKEN]) == []


def test_a_new_message_alone_says_nothing() -> None:
    assert happenings([BROKEN], [condition("Degraded", "True", "CrashLoop", "other")]) == []


def test_becoming_ready_is_told_once() -> None:
    waiting = condition("Ready", "False", "RollingOut")
    assert happenings([waiting], [READY]) == [Happening("Normal", "Ready", "m")]
    assert happenings([READY], [waiting]) == []


def test_a_fault_and_its_end_are_told() -> None:
    fine = condition("Degraded", "False", "AsExpected")
    assert happenings([], [BROKEN]) == [Happening("Warning", "CrashLoop", "pod a exited 1")]
    assert happenings([BROKEN], [fine]) == [Happening("Normal", "Recovered", "CrashLoop is over")]
    assert happenings([], [fine]) == []


def test_another_fault_is_told_anew() -> None:
    other = condition("Degraded", "True", "OutOfMemory", "raise it")
    assert happenings([BROKEN], [other]) == [Happening("Warning", "OutOfMemory", "raise it")]


def test_lost_metrics_are_told() -> None:
    had = condition("MetricsAvailable", "True", "Complete")
    lost = condition("MetricsAvailable", "False", "Stale", "no samples for 60 s")
    assert happenings([had], [lost]) == [
        Happening("Warning", "MetricsStale", "no samples for 60 s")
    ]
