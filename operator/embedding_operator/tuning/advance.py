"""The tuner's one step: memory and observation in, memory and settings out.

`advance` decides nothing twice and remembers nothing outside its arguments: an operator that was
killed between any two steps goes on from status as if nothing had happened. Whatever is wrong with
the metrics changes nothing, and ends an open trial with the setting before it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import (
    Diagnosis,
    Evidence,
    Settled,
    TuningMemory,
    TuningPolicy,
)
from embedding_operator.tuning import remember
from embedding_operator.tuning.demands import demands
from embedding_operator.tuning.diagnosis import diagnose, undecided
from embedding_operator.tuning.measure import in_force, under_one_load, windows_needed
from embedding_operator.tuning.observation import (
    Event,
    Look,
    Observation,
    Outcome,
    PodView,
    Verdict,
)
from embedding_operator.tuning.planner import Move, Situation, plan
from embedding_operator.tuning.point import Point, resolve, to_setting
from embedding_operator.tuning.recommend import recommend
from embedding_operator.tuning.rules import Rules
from embedding_operator.tuning.sample import Sample, mean
from embedding_operator.tuning.settle import moved, settle
from embedding_operator.tuning.trial import (
    Step,
    begin,
    cancel,
    carry_on,
    disturbance,
    most_windows,
    settle_seconds,
)
from embedding_operator.tuning.window import MetricsGap, Window

__all__ = ["Observation", "Outcome", "PodView", "Verdict", "advance"]

_AVAILABLE: Final = Verdict("True", "Complete", "every ready pod has whole windows")


def advance(
    memory: TuningMemory, observation: Observation, policy: TuningPolicy, now: float
) -> Outcome:
    """Look at one pool once.

    `now` is in epoch seconds. The caller stores the outcome's memory and settings together, before
    it acts on them.
    """
    at = Look(observation, policy, now)
    memory = _pruned(memory, now)
    step = _edited(memory, at) or _left_out(memory, at)
    if step is not None:
        return _outcome(step, _looked(at))
    gap = _gap(at)
    if gap is not None:
        return _outcome(_frozen(memory, gap, at), gap)
    if memory.trial is not None:
        why = disturbance(memory.trial, at)
        if why is not None:
            return _outcome(_disturbed(memory, why, at), _looked(at))
        return _outcome(carry_on(_well(memory), memory.trial, at), _looked(at))
    return _outcome(_watch(_well(memory), at), _looked(at))


def _outcome(step: Step, available: Verdict) -> Outcome:
    return Outcome(
        memory=remember.fitted(step.memory),
        setting=step.setting,
        metrics_available=available,
        pod_settings=step.pod_settings,
        events=step.events,
    )


def _well(memory: TuningMemory) -> TuningMemory:
    return memory.model_copy(update={"problem": ""})


def _pruned(memory: TuningMemory, now: float) -> TuningMemory:
    refused = remember.current_refusals(memory.refused, now)
    return memory.model_copy(update={"refused": refused})


def _looked(at: Look) -> Verdict:
    if at.policy.mode == "Off":
        return Verdict("Unknown", "TuningOff", "spec.tuning.mode is Off: nothing is asked")
    if isinstance(at.observation.metrics, MetricsGap):
        return Verdict("False", at.observation.metrics.reason, at.observation.metrics.message)
    if not at.observation.metrics:
        return Verdict("Unknown", "Collecting", "no whole window has passed since the pods began")
    return _AVAILABLE


def _edited(memory: TuningMemory, at: Look) -> Step | None:
    """A user's edit of the knobs wins at once, ends an open trial, and is the new base."""
    spec = at.observation.spec_setting
    if memory.base is not None and memory.base.setting == spec:
        return None
    events: tuple[Event, ...] = ()
    if memory.trial is not None:
        ended = cancel(memory, memory.trial, "the spec was edited", at)
        memory, events = ended.memory, ended.events
    return Step(remember.rebased(memory, spec), spec, events=events)


def _left_out(memory: TuningMemory, at: Look) -> Step | None:
    """Modes and moments in which nothing is decided."""
    current, spec = at.observation.current, at.observation.spec_setting
    trial = memory.trial
    if at.policy.mode == "Off":
        step = Step(memory, spec)
        if trial is not None:
            step = cancel(memory, trial, "spec.tuning.mode is Off", at)
        quiet = {"recommendation": None, "settled": None, "diagnosis": None, "problem": ""}
        return replace(step, memory=step.memory.model_copy(update=quiet), setting=spec)
    if trial is not None and (at.policy.suspend or at.policy.mode != "Auto"):
        why = "tuning was suspended" if at.policy.suspend else "spec.tuning.mode is not Auto"
        return cancel(memory, trial, why, at)
    if trial is None and not _inside(current, at):
        event: Event = ("Normal", "BackToSpec", "the setting in force left the new bounds")
        return Step(remember.rebased(memory, spec), spec, events=(event,))
    return None


def _inside(setting: Setting, at: Look) -> bool:
    bounds, spec = at.policy.bounds, at.observation.spec_setting
    workers = setting.decode_workers
    return setting == spec or (
        bounds.num_streams.holds(setting.num_streams)
        and bounds.semaphore_size.holds(setting.semaphore_size)
        and (workers == spec.decode_workers or bounds.decode_workers.holds(workers))
    )


def _gap(at: Look) -> Verdict | None:
    """Metrics that cannot be trusted, where there is a pod that should have some."""
    metrics = at.observation.metrics
    if isinstance(metrics, MetricsGap) and at.observation.ready:
        return Verdict("False", metrics.reason, metrics.message)
    return None


def _frozen(memory: TuningMemory, gap: Verdict, at: Look) -> Step:
    """Without metrics nothing moves, and a trial goes back to where it came from."""
    step = Step(memory, at.observation.current)
    if memory.trial is not None:
        why = f"its metrics were lost ({gap.reason})"
        step = cancel(memory, memory.trial, why, at)
    blind = undecided("NoData", gap.message, memory.diagnosis, at.time)
    update = {"diagnosis": blind, "recommendation": None, "problem": f"{gap.reason}: {gap.message}"}
    return replace(step, memory=step.memory.model_copy(update=update))


def _disturbed(memory: TuningMemory, why: str, at: Look) -> Step:
    assert memory.trial is not None
    step = cancel(memory, memory.trial, why, at)
    unstable = undecided("Unstable", f"{why}.", memory.diagnosis, at.time)
    return replace(step, memory=step.memory.model_copy(update={"diagnosis": unstable}))


def _watch(memory: TuningMemory, at: Look) -> Step:
    """Without a trial: diagnose, then hold, recommend or begin."""
    observation, policy = at.observation, at.policy
    if not observation.ready or not observation.rollout_stable:
        return _waiting_for_pods(memory, at)
    wanted = {pod.name: observation.current for pod in observation.ready}
    windows = in_force(observation, wanted, 0.0, settle_seconds(policy))
    windows = under_one_load(windows[-most_windows(policy) :])
    if len(windows) < policy.windows:
        return _collecting(memory, len(windows), at)
    fresh = diagnose(windows, policy.objective.p95_seconds, memory.diagnosis, at.time)
    events = _told(memory.diagnosis, fresh)
    memory = memory.model_copy(update={"diagnosis": _quiet(memory.diagnosis, fresh)})
    step = _decide(memory, windows, at)
    return replace(step, events=(*events, *step.events))


def _waiting_for_pods(memory: TuningMemory, at: Look) -> Step:
    stable = at.observation.rollout_stable
    verdict, message = (
        ("NoData", "No pod is ready.")
        if stable
        else ("Unstable", "A rollout or a scaling is under way.")
    )
    diagnosis = undecided(verdict, message, memory.diagnosis, at.time)  # type: ignore[arg-type]
    update = {"diagnosis": diagnosis, "recommendation": None, "settled": None}
    return Step(memory.model_copy(update=update), at.observation.current)


def _collecting(memory: TuningMemory, count: int, at: Look) -> Step:
    """Too few windows with the setting in force: the last verdict stands, if there is one."""
    if memory.diagnosis is None or not memory.diagnosis.evidence:
        needed = at.policy.windows
        message = f"Collecting: {count} of {needed} windows of one setting and one load."
        diagnosis = undecided("NoData", message, memory.diagnosis, at.time)
        memory = memory.model_copy(update={"diagnosis": diagnosis})
    return Step(memory, at.observation.current)


def _decide(memory: TuningMemory, windows: Sequence[Window], at: Look) -> Step:
    assert memory.diagnosis is not None
    sample = mean(window.over() for window in windows)
    objective = at.policy.objective.p95_seconds
    if memory.diagnosis.bottleneck in {"NoData", "Unstable"}:
        update = {"recommendation": None}
        return Step(memory.model_copy(update=update), at.observation.current)
    events: tuple[Event, ...] = ()
    if memory.settled is not None:
        why = moved(memory.settled, sample, objective, memory.noise)
        if why is None and at.policy.mode == "Auto" and not at.policy.suspend:
            return Step(memory, at.observation.current)
        if why is not None:
            memory = remember.reopened(memory)
            events = (("Normal", "TuningReopened", why),)
    planned = _plan(memory, sample, at)
    if isinstance(planned, str):
        return _hold(memory, sample, planned, events, at)
    move, to = planned
    step = _act(memory, windows, move, to, at)
    return replace(step, events=(*events, *step.events))


def _plan(memory: TuningMemory, sample: Sample, at: Look) -> tuple[Move, Setting] | str:
    """The planner's move with the setting it stands for, or why there is none."""
    observation, policy = at.observation, at.policy
    here = resolve(observation.current, sample)
    costs = demands(sample, here, observation.max_batch)
    if costs is None:
        return "no image flows"

    def points(region: bool) -> list[Point]:
        return [
            resolve(one.setting.setting, sample) for one in memory.refused if one.region == region
        ]

    situation = Situation(
        demands=costs,
        sample=sample,
        rules=Rules(policy.bounds, sample, here, observation.host_memory_bytes),
        p95_objective=policy.objective.p95_seconds,
        refused=points(region=False),
        refused_regions=points(region=True),
        correction=memory.correction,
        jumps=memory.jumps,
        polishes=memory.polishes,
        decode_moves=observation.spec_setting.decode_device == "auto",
    )
    move = plan(situation)
    return move if isinstance(move, str) else (move, to_setting(move.to, observation.current, here))


def _hold(
    memory: TuningMemory, sample: Sample, why: str, events: tuple[Event, ...], at: Look
) -> Step:
    rest: Settled = settle(sample, why, at.policy.objective.p95_seconds, memory.settled, at.time)
    if memory.settled is None:
        events = (*events, ("Normal", "TuningSettled", why))
    update = {"settled": rest, "recommendation": None}
    return Step(memory.model_copy(update=update), at.observation.current, events=events)


def _act(
    memory: TuningMemory, windows: Sequence[Window], move: Move, to: Setting, at: Look
) -> Step:
    """Recommend the move, and in Auto begin the trial once there are windows enough for it."""
    observation, policy = at.observation, at.policy
    advice = recommend(move, to, observation, memory.recommendation)
    memory = memory.model_copy(update={"recommendation": advice})
    if policy.mode != "Auto" or policy.suspend:
        return Step(memory, observation.current)
    needed = windows_needed(memory.noise, move.gain, policy.windows, most_windows(policy))
    if len(windows) < needed:
        return Step(memory, observation.current)
    return begin(memory, move, to, windows, at)


def _told(before: Diagnosis | None, now: Diagnosis) -> tuple[Event, ...]:
    """An event for a new class or a newly broken objective."""
    if before is not None and before.bottleneck == now.bottleneck:
        if now.slo_violated and not before.slo_violated:
            return (("Warning", "ObjectiveBroken", now.message),)
        return ()
    return (("Normal", "Diagnosed", f"{now.bottleneck}: {now.message}"),)


def _quiet(before: Diagnosis | None, now: Diagnosis) -> Diagnosis:
    """Keep the last diagnosis while nothing worth a write to status changed."""
    if before is None or before.bottleneck != now.bottleneck:
        return now
    same = (
        before.slo_violated == now.slo_violated
        and abs(before.confidence - now.confidence) < 0.34
        and len(before.evidence) == len(now.evidence)
        and all(map(_alike, before.evidence, now.evidence))
    )
    return before if same else now


def _alike(before: Evidence, now: Evidence) -> bool:
    close = abs(now.value - before.value) <= max(0.03, 0.1 * abs(before.value))
    return before.name == now.name and before.threshold == now.threshold and close
