"""One open trial, from its record to its verdict. Every step stands on what status holds.

    Applying -> Measuring -> keep | roll back | Confirming (old setting back) -> keep | roll back

Whatever happens outside (metrics lost, pods gone, an edit) ends the trial with the old setting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import Knobs, Trial, TuningMemory, TuningPolicy
from embedding_operator.tuning.measure import in_force, measure, windows_needed
from embedding_operator.tuning.observation import Event, Look, Observation
from embedding_operator.tuning.planner import Move
from embedding_operator.tuning.remember import COOL_DOWN_WINDOWS, REFUSED_SECONDS, begun, ended
from embedding_operator.tuning.verify import Judgement, confirm, fatal, judge, load_left
from embedding_operator.tuning.window import Window

ACKNOWLEDGE_SECONDS: Final = 120.0
"""Pods answer within seconds; a kubelet that missed the nudge takes a minute or so."""
SETTLE_WINDOWS: Final = 0.5
"""Part of a window that passes after a change, for the requests that the old setting let in."""
MOST_TIMES: Final = 4
MOST_WINDOWS: Final = 12
_PODS_NAMED: Final = 32


@dataclass(frozen=True, slots=True)
class Step:
    """Memory and settings after one step, with what to tell the user."""

    memory: TuningMemory
    setting: Setting
    pod_settings: Mapping[str, Setting] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


def most_windows(policy: TuningPolicy) -> int:
    """The most windows that one side of a trial measures."""
    return max(policy.windows, min(MOST_WINDOWS, MOST_TIMES * policy.windows))


def settle_seconds(policy: TuningPolicy) -> float:
    """Seconds after a change that no window may touch."""
    return SETTLE_WINDOWS * policy.window_seconds


def begin(
    memory: TuningMemory, move: Move, to: Setting, windows: Sequence[Window], look: Look
) -> Step:
    """Record a trial. The setting that comes with it is applied only after the record is kept."""
    observation, policy, now = look.observation, look.policy, look.time
    names = [pod.name for pod in observation.ready]
    # One pod against the others at the same time beats before-after, where there are others.
    canary = names[:1] if len(names) > 1 and move.kind in {"Jump", "Polish"} else []
    others = [name for name in names if name not in canary]
    current, batch = observation.current, observation.max_batch
    both_sides = 2 * (most_windows(policy) + 2) * policy.window_seconds
    trial = Trial(
        id=memory.trials + 1,
        kind=move.kind,
        stage_since=now,
        started_at=now,
        deadline=now + 2 * ACKNOWLEDGE_SECONDS + both_sides,
        from_=Knobs.of(current),
        to=Knobs.of(to),
        predicted_gain=move.gain,
        reason=move.reason,
        canary=canary,
        pods=names[:_PODS_NAMED],
        restarts=observation.restarts,
        baseline=measure(windows, canary, current, batch),
        control=measure(windows, others, current, batch) if canary else None,
    )
    where = f"on {canary[0]}" if canary else "on all pods"
    told = f"trial {trial.id} {where}: {trial.reason} ({100 * move.gain:+.0f} % expected)"
    return _running(begun(memory, trial), trial, (("Normal", "TrialStarted", told),))


def cancel(memory: TuningMemory, trial: Trial, why: str, look: Look) -> Step:
    """End the trial for a reason from outside: it says nothing about the move."""
    message = f"{why}; back to the setting before"
    cool = COOL_DOWN_WINDOWS * look.policy.window_seconds
    closed = ended(memory, trial, "Cancelled", message, look.time, refuse_seconds=cool)
    told = f"trial {trial.id} cancelled: {message}"
    return Step(closed, trial.from_.setting, events=(("Warning", "TrialCancelled", told),))


def disturbance(trial: Trial, look: Look) -> str | None:
    """A reason outside the metrics that makes the trial worthless, or None."""
    observation = look.observation
    names = [pod.name for pod in observation.ready][:_PODS_NAMED]
    if observation.restarts > trial.restarts:
        return "a pod restarted"
    if not observation.rollout_stable:
        return "a rollout or a scaling began"
    if names != trial.pods:
        return "the set of ready pods changed"
    bounds = look.policy.bounds
    if not (
        bounds.num_streams.holds(trial.to.num_streams)
        and bounds.semaphore_size.holds(trial.to.semaphore_size)
    ):
        return "the bounds were narrowed"
    return None


def carry_on(memory: TuningMemory, trial: Trial, look: Look) -> Step:
    """Look at an undisturbed trial with working metrics: wait, decide, or go one stage on."""
    observation, policy, now = look.observation, look.policy, look.time
    wanted = _settings(trial, observation)
    windows = in_force(observation, wanted, trial.stage_since, settle_seconds(policy))
    if now >= trial.deadline:
        return cancel(memory, trial, "no verdict came before the deadline", look)
    if not _acknowledged(trial, observation) and now > trial.stage_since + ACKNOWLEDGE_SECONDS:
        return cancel(memory, trial, "the pods did not take the setting over in time", look)
    if trial.stage == "Applying" and _acknowledged(trial, observation):
        trial = trial.model_copy(update={"stage": "Measuring"})
        memory = memory.model_copy(update={"trial": trial})
    if not windows:
        return _running(memory, trial)
    if trial.stage == "Confirming":
        return _confirm(memory, trial, windows, look)
    return _judge(memory, trial, windows, look)


def _acknowledged(trial: Trial, observation: Observation) -> bool:
    since = observation.in_force_since
    return since is not None and since >= trial.stage_since


def _settings(trial: Trial, observation: Observation) -> dict[str, Setting]:
    """What every ready pod runs in this stage."""
    old, new = trial.from_.setting, trial.to.setting
    return {
        pod.name: new
        if trial.stage != "Confirming" and (not trial.canary or pod.name in trial.canary)
        else old
        for pod in observation.ready
    }


def _running(memory: TuningMemory, trial: Trial, events: tuple[Event, ...] = ()) -> Step:
    """The settings of a trial that goes on."""
    old, new = trial.from_.setting, trial.to.setting
    if trial.stage == "Confirming":
        return Step(memory, old, events=events)
    if trial.canary:
        return Step(memory, old, dict.fromkeys(trial.canary, new), events)
    return Step(memory, new, events=events)


def _judge(memory: TuningMemory, trial: Trial, windows: Sequence[Window], look: Look) -> Step:
    observation, policy, now = look.observation, look.policy, look.time
    new, batch, objective = trial.to.setting, observation.max_batch, policy.objective.p95_seconds
    windows = windows[-most_windows(policy) :]
    after = measure(windows, trial.canary, new, batch)
    others = [pod.name for pod in observation.ready if pod.name not in trial.canary]
    control = measure(windows, others, trial.from_.setting, batch) if trial.canary else None
    stop = fatal(trial, windows[-1].over(trial.canary), after, objective)
    if stop is not None:
        return _abort(memory, trial, stop, after.windows, now)
    if load_left(trial, after):
        return cancel(memory, trial, "the load went away", look)
    if len(windows) < policy.windows:
        return _running(memory, trial)
    judgement = judge(
        trial, after, control, noise=memory.noise, p95_objective=objective,
        most_windows=most_windows(policy),
    )  # fmt: skip
    if judgement.decision == "more":
        return _running(memory, trial)
    memory = _learn(memory, trial.baseline.spread, after.spread, after.windows)
    if judgement.decision == "confirm":
        again = trial.model_copy(update={"stage": "Confirming", "stage_since": now, "after": after})
        told = f"trial {trial.id}: {_figures(judgement)}; measuring the old setting once more"
        event: Event = ("Normal", "TrialConfirming", told)
        return _running(memory.model_copy(update={"trial": again}), again, (event,))
    return _close(memory, trial, judgement, after.windows, now)


def _confirm(memory: TuningMemory, trial: Trial, windows: Sequence[Window], look: Look) -> Step:
    observation, policy, now = look.observation, look.policy, look.time
    measured = trial.after.windows if trial.after else policy.windows
    needed = min(measured, windows_needed(memory.noise, 0.0, policy.windows, measured))
    if len(windows) < needed:
        return _running(memory, trial)
    again = measure(windows, (), trial.from_.setting, observation.max_batch)
    judgement = confirm(trial, again, memory.noise)
    return _close(memory, trial, judgement, measured, now)


def _abort(memory: TuningMemory, trial: Trial, why: str, windows: int, now: float) -> Step:
    """Stop a harmful trial at once."""
    message = f"{why}: stopped, back to the setting before"
    closed = ended(memory, trial, "Aborted", message, now, windows=windows)
    event: Event = ("Warning", "TrialAborted", f"trial {trial.id}: {message}")
    return Step(closed, trial.from_.setting, events=(event,))


def _close(
    memory: TuningMemory, trial: Trial, judgement: Judgement, windows: int, now: float
) -> Step:
    keep = judgement.decision == "keep"
    verb = "kept" if keep else "rolled back"
    message = f"{verb}: {_figures(judgement)}, {100 * trial.predicted_gain:+.1f} % expected"
    closed = ended(
        memory, trial, "Kept" if keep else "RolledBack", message, now,
        gain=judgement.gain, error=judgement.error, windows=windows,
        refuse_seconds=REFUSED_SECONDS,
    )  # fmt: skip
    setting = trial.to.setting if keep else trial.from_.setting
    reason = "TrialKept" if keep else "TrialRolledBack"
    return Step(closed, setting, events=(("Normal", reason, f"trial {trial.id} {message}"),))


def _figures(judgement: Judgement) -> str:
    return (
        f"{100 * judgement.gain:+.1f} % measured by {judgement.basis}, "
        f"error {100 * judgement.error:.1f} %"
    )


def _learn(memory: TuningMemory, before: float, after: float, windows: int) -> TuningMemory:
    """Remember how noisy this place is: half of the old, half of what was seen."""
    seen = math.sqrt((before**2 + after**2) / 2)
    if windows < 2:
        return memory
    noise = max(0.005, math.sqrt((memory.noise**2 + seen**2) / 2))
    return memory.model_copy(update={"noise": float(f"{noise:.5g}")})
