"""The five conditions of a resource.

Law: Ready is True only when the Deployment's controller has seen the current template, every wanted
pod is updated and available, and every ready pod says that it runs the wanted tuning file.
A condition keeps its transition time until its status really changes.
"""

from collections.abc import Sequence

from embedding_operator.api.status import Condition
from embedding_operator.assess.acknowledgement import Judgement, judge_tuning
from embedding_operator.assess.causes import stuck
from embedding_operator.assess.observed import Observed, Trouble

ORDER = ("Ready", "Progressing", "Degraded", "TuningInForce", "MetricsAvailable")
_NOT_ASKED: Judgement = ("Unknown", "NotAsked", "Prometheus was not asked yet")


def assess(observed: Observed, previous: Sequence[Condition], now: float) -> list[Condition]:
    """Judge what was observed. MetricsAvailable belongs to the tuner and only gets a beginning."""
    trouble = observed.trouble or stuck(observed.pods, observed.rollout, now)
    tuning = judge_tuning(observed, now)
    judgements: dict[str, Judgement] = {
        "Ready": _ready(observed, trouble, tuning),
        "Progressing": _progressing(observed, trouble, tuning),
        "Degraded": _degraded(trouble, tuning),
        "TuningInForce": tuning,
    }
    conditions = list(previous)
    if not any(each.type == "MetricsAvailable" for each in conditions):
        judgements["MetricsAvailable"] = _NOT_ASKED
    for kind, judgement in judgements.items():
        conditions = with_condition(conditions, kind, judgement, observed.generation, now)
    return conditions


def with_condition(
    conditions: Sequence[Condition],
    kind: str,
    judgement: Judgement,
    generation: int,
    now: float,
) -> list[Condition]:
    """Replace one condition; its transition time moves only when its status changes."""
    status, reason, message = judgement
    before = next((each for each in conditions if each.type == kind), None)
    since = before.last_transition_time if before and before.status == status else now
    fresh = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )
    others = [each for each in conditions if each.type != kind]
    return sorted([*others, fresh], key=_rank)


def _rank(condition: Condition) -> tuple[int, str]:
    known = condition.type in ORDER
    return (ORDER.index(condition.type) if known else len(ORDER), condition.type)


def _ready(observed: Observed, trouble: Trouble | None, tuning: Judgement) -> Judgement:
    rollout = observed.rollout
    if observed.trouble is not None:
        return "False", observed.trouble.reason, observed.trouble.message
    if observed.replicas == 0:
        return "False", "ScaledToZero", "spec.replicas is 0: no pod answers"
    if rollout is None:
        return "False", "NotCreated", "the Deployment does not exist yet"
    if not rollout.complete:
        if trouble is not None:
            return "False", trouble.reason, trouble.message
        return "False", "RollingOut", rollout.progress
    if tuning[0] != "True":
        return "False", f"Tuning{tuning[1]}", tuning[2]
    return "True", "AllPodsReady", f"{rollout.wanted} of {rollout.wanted} pods take requests"


def _progressing(observed: Observed, trouble: Trouble | None, tuning: Judgement) -> Judgement:
    if trouble is not None:
        return "False", trouble.reason, "waits until the cause is removed, see Degraded"
    rollout = observed.rollout
    if rollout is None or not rollout.complete:
        return "True", "RollingOut", rollout.progress if rollout else "creating the children"
    if tuning[1] == "Applying":
        return "True", "ApplyingTuning", tuning[2]
    return "False", "Complete", "nothing is left to do"


def _degraded(trouble: Trouble | None, tuning: Judgement) -> Judgement:
    if trouble is not None:
        return "True", trouble.reason, trouble.message
    if tuning[1] in {"Rejected", "NotAcknowledged"}:
        return "True", f"Tuning{tuning[1]}", tuning[2]
    return "False", "AsExpected", "nothing is wrong"
