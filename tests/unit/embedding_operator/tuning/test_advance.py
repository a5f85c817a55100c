"""The one step: modes, edits, faults, kills. Driven on a simulated pool with the real windows."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract.tuning import Setting
from embedding_operator.api.tuning import (
    SemaphoreBounds,
    StreamBounds,
    TuningBounds,
    TuningMemory,
    TuningPolicy,
)
from embedding_operator.tuning.advance import Outcome
from embedding_operator.tuning.window import MetricsGap
from simulation.plant import Plant
from simulation.world import World, state

GATED = Plant(cores=4, fetch_request=0.3, users=24)
"""Requests fetch for long: one permit holds it far below what it can."""
START = Setting(1, 2)
POLICY = TuningPolicy(window_seconds=10)
GAPS = (
    MetricsGap("PrometheusUnreachable", "it is down"),
    MetricsGap("Missing", "nothing there"),
    MetricsGap("Stale", "old"),
    MetricsGap("Partial", "half"),
    MetricsGap("NotFinite", "NaN"),
)


def world(policy: TuningPolicy = POLICY, **more: object) -> World:
    return World(GATED, START, policy, **more)  # type: ignore[arg-type]


def in_trial(**more: object) -> World:
    """A world with an open trial whose setting is in force."""
    found = world(**more)  # type: ignore[arg-type]
    for _ in range(12):
        if found.tick().memory.trial is not None:
            return found
    raise AssertionError(found.memory)


def but(policy: TuningPolicy, **changes: object) -> TuningPolicy:
    return policy.model_copy(update=changes)


def reasons(outcome: Outcome) -> list[str]:
    return [reason for _, reason, _ in outcome.events]


def test_auto_finds_the_gate_tries_one_move_and_keeps_it_with_its_evidence() -> None:
    found = in_trial()
    trial = found.memory.trial
    assert trial is not None
    assert trial.from_.setting == START
    assert found.setting == trial.to.setting
    assert found.memory.diagnosis is not None
    assert found.memory.diagnosis.bottleneck == "AdmissionLimited"
    assert found.memory.diagnosis.evidence
    found.run(8)
    entry = found.memory.history[-1]
    assert entry.verdict == "Kept"
    assert entry.measured_gain is not None
    assert entry.measured_gain > 1
    assert entry.predicted_gain == trial.predicted_gain
    assert f"{100 * entry.measured_gain:+.1f} % measured" in entry.message


def test_the_trial_is_recorded_in_the_same_outcome_that_changes_the_setting() -> None:
    found = in_trial()
    last = found.outcomes[-1]
    assert reasons(last)[-1] == "TrialStarted"
    assert last.memory.trial is not None
    assert last.setting == last.memory.trial.to.setting
    assert all(outcome.setting == START for outcome in found.outcomes[:-1])


def test_a_verdict_comes_within_a_dozen_windows() -> None:
    policy = TuningPolicy(window_seconds=6, windows=2)
    found = World(GATED, START, policy)
    while not found.memory.history and len(found.outcomes) < 20:
        found.tick()
    assert len(found.outcomes) * policy.window_seconds <= 72


def test_recommend_says_what_it_would_do_and_does_not() -> None:
    found = world(but(POLICY, mode="Recommend")).run(12)
    assert {outcome.setting for outcome in found.outcomes} == {START}
    assert found.memory.trial is None
    advice = found.memory.recommendation
    assert advice is not None
    assert "semaphoreSize" in advice.patch
    assert advice.predicted_gain > 1


def test_off_asks_nothing_and_runs_the_spec() -> None:
    found = in_trial()
    found.policy = but(POLICY, mode="Off")
    outcome = found.tick()
    assert outcome.setting == START
    assert outcome.memory.trial is None
    assert outcome.memory.diagnosis is None
    assert outcome.metrics_available.status == "Unknown"
    assert outcome.metrics_available.reason == "TuningOff"


@pytest.mark.parametrize("change", [{"suspend": True}, {"mode": "Recommend"}])
def test_a_suspended_trial_goes_back(change: dict[str, object]) -> None:
    found = in_trial()
    found.policy = but(POLICY, **change)
    outcome = found.tick()
    assert outcome.setting == START
    assert outcome.memory.trial is None
    assert outcome.memory.history[0].verdict == "Cancelled"
    found.run(6)
    assert found.setting == START


def test_suspended_goes_on_diagnosing() -> None:
    found = world(but(POLICY, suspend=True)).run(6)
    assert found.memory.diagnosis is not None
    assert found.memory.diagnosis.bottleneck == "AdmissionLimited"
    assert found.setting == START


def test_a_users_edit_ends_the_trial_and_is_the_new_base() -> None:
    found = in_trial()
    found.spec = Setting(2, 3)
    outcome = found.tick()
    assert outcome.setting == Setting(2, 3)
    assert outcome.memory.trial is None
    assert outcome.memory.base is not None
    assert outcome.memory.base.setting == Setting(2, 3)
    assert "edited" in outcome.memory.history[0].message


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.reason)
def test_lost_metrics_freeze_and_take_an_open_trial_back(gap: MetricsGap) -> None:
    found = in_trial()
    found.gap = gap
    outcome = found.tick()
    assert outcome.setting == START
    assert outcome.memory.trial is None
    assert outcome.memory.diagnosis is not None
    assert outcome.memory.diagnosis.bottleneck == "NoData"
    assert outcome.metrics_available.status == "False"
    assert outcome.metrics_available.reason == gap.reason
    assert gap.message in outcome.memory.problem
    found.run(20)
    assert found.setting == START
    found.gap = None
    found.run(3)
    assert not found.memory.problem


def test_a_restart_a_rollout_and_a_lost_pod_end_the_trial() -> None:
    for change in ({"restarts": 1}, {"stable": False}, {"pods": ()}):
        found = in_trial()
        for name, value in change.items():
            setattr(found, name, value)
        outcome = found.tick()
        assert outcome.setting == START, change
        assert outcome.memory.history[0].verdict == "Cancelled"


def test_pods_that_never_take_the_setting_over_end_the_trial() -> None:
    found = in_trial()
    found.past.pop()
    while found.memory.trial is not None:
        found.tick()
        assert len(found.outcomes) < 40
    assert "did not take the setting over" in found.memory.history[0].message
    assert found.setting == START


def test_windows_from_before_the_setting_was_in_force_do_not_count() -> None:
    found = in_trial()
    assert found.tick().memory.trial is not None  # half a window has passed at the most
    assert found.tick().memory.trial is not None


def test_windows_from_before_the_load_are_no_baseline() -> None:
    found = world()
    found.plant = GATED.scaled(0.05)
    found.past[0] = (found.past[0][0], found.plant, found.past[0][2])
    found.run(8)
    assert found.memory.trials == 0
    found.plant = GATED
    while not found.memory.history:
        found.tick()
        assert len(found.outcomes) < 40
    gain = found.memory.history[0].measured_gain
    assert gain is not None
    least, most = (state(GATED, Setting(1, permits)).images for permits in (2, 64))
    assert gain < most / least


def test_a_canary_runs_beside_the_others_and_only_it_changes() -> None:
    found = in_trial(pods=("pod-a", "pod-b", "pod-c"))
    outcome = found.outcomes[-1]
    assert outcome.setting == START
    assert list(outcome.pod_settings) == ["pod-a"]
    found.run(16)
    assert found.memory.history[-1].verdict == "Kept"
    assert found.pod_settings == {} or found.memory.trial is not None
    assert found.setting != START


def test_bounds_that_shrink_take_the_setting_home() -> None:
    found = in_trial().run(8)
    assert found.setting != START
    bounds = TuningBounds(semaphore_size=SemaphoreBounds(min=1, max=2))
    found.policy = but(POLICY, bounds=bounds)
    found.tick()
    assert found.setting == START
    found.run(6)
    assert found.setting.semaphore_size <= 2


def test_a_settled_service_holds_still_and_wakes_for_another_load() -> None:
    found = World(Plant(users=2, think=1.0), Setting(1, 4), POLICY).run(20)
    assert found.memory.settled is not None
    assert found.memory.trials == 0
    since = found.memory.settled.since
    found.run(20)
    assert found.memory.settled.since == since
    found.plant = found.plant.scaled(users=30)
    found.run(15)
    assert "TuningReopened" in [r for outcome in found.outcomes for r in reasons(outcome)]


def test_at_rest_status_is_not_written_again_and_again() -> None:
    found = World(Plant(users=2, think=1.0), Setting(1, 4), POLICY, noise=0.02).run(10)
    memories = [found.tick().memory for _ in range(20)]
    changes = sum(a != b for a, b in pairwise(memories))
    assert changes <= 4


class Forgetful(World):
    """An operator that is killed after every step: all it has is what status gives back."""

    def tick(self) -> Outcome:
        outcome = super().tick()
        stored = self.memory.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.memory = TuningMemory.model_validate(stored)
        return outcome


@pytest.mark.parametrize("seed", [1, 2])
def test_an_operator_killed_between_any_two_steps_ends_the_same(seed: int) -> None:
    plant = Plant(cores=4, fetch_request=0.1, users=24, decode=0.004)
    lives = [kind(plant, START, POLICY, seed=seed).run(40) for kind in (World, Forgetful)]
    assert [one.setting for one in lives[0].outcomes] == [one.setting for one in lives[1].outcomes]
    assert lives[0].memory == lives[1].memory
    assert lives[0].memory.trials > 0


steps = st.lists(
    st.sampled_from(
        ["tick", "tick", "tick", "tick", "gap", "back", "restart", "unstable", "stable", "edit",
         "suspend", "resume", "recommend", "auto", "off"]
    ),
    min_size=10, max_size=40,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(1, 5))
def test_whatever_happens_the_setting_stays_in_bounds_and_faults_change_nothing(
    script: list[str], seed: int
) -> None:
    bounds = TuningBounds(
        num_streams=StreamBounds(min=1, max=3), semaphore_size=SemaphoreBounds(min=1, max=12)
    )
    found = Forgetful(GATED, START, but(POLICY, bounds=bounds), seed=seed)
    for number, word in enumerate(script):
        happens(found, word, number)
        before, trial = found.setting, found.memory.trial
        outcome = found.tick()
        for setting in (outcome.setting, *outcome.pod_settings.values()):
            assert bounds.num_streams.holds(setting.num_streams)
            assert bounds.semaphore_size.holds(setting.semaphore_size)
        home = trial.from_.setting if trial else before
        if found.gap is not None and found.policy.mode != "Off":
            assert outcome.setting in (home, found.spec)
            assert outcome.memory.trial is None
        if found.policy.mode == "Recommend":
            assert outcome.setting in (home, found.spec)
            assert outcome.memory.trial is None
        if found.policy.mode == "Off":
            assert outcome.setting == found.spec


def happens(found: World, word: str, number: int) -> None:
    """One thing that can befall a service."""
    match word:
        case "gap":
            found.gap = GAPS[number % len(GAPS)]
        case "back":
            found.gap = None
        case "restart":
            found.restarts += 1
        case "unstable" | "stable":
            found.stable = word == "stable"
        case "edit":
            found.spec = Setting(1 + number % 3, 1 + number % 12)
        case "suspend" | "resume":
            found.policy = but(found.policy, suspend=word == "suspend")
        case "recommend" | "auto" | "off":
            found.policy = but(found.policy, mode=word.capitalize())
        case _:
            pass
