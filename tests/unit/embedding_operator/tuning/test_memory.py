"""What is remembered fits into status, survives a round trip, and is forgotten in time."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from embedding_contract.tuning import Setting
from embedding_operator.api import tuning as words
from embedding_operator.tuning import remember
from embedding_operator.tuning.diagnosis import diagnose
from embedding_operator.tuning.planner import Move
from embedding_operator.tuning.point import Point
from embedding_operator.tuning.recommend import patch, recommend
from embedding_operator.tuning.settle import moved, settle
from simulation.figures import Figures, windows
from simulation.plant import Plant
from simulation.world import World


def made(
    model: type[BaseModel], /, **parts: st.SearchStrategy[object]
) -> st.SearchStrategy[object]:
    """Instances of a model from just these parts: the aliases must not be filled in as well."""
    return st.fixed_dictionaries(parts).map(lambda values: model(**values))


knobs = made(
    words.Knobs,
    num_streams=st.integers(1, 32), semaphore_size=st.integers(1, 1024),
    decode_workers=st.integers(0, 256), decode_device=st.sampled_from(["auto", "cpu", "gpu"]),
)  # fmt: skip
figures = st.floats(-1e6, 1e6)
moments = st.floats(0, 4e9)
texts = st.text(max_size=400)
entries = made(
    words.HistoryEntry, id=st.integers(1), ended_at=moments, from_=knobs, to=knobs,
    verdict=st.sampled_from(["Kept", "RolledBack", "Aborted", "Cancelled"]),
    predicted_gain=figures, measured_gain=st.none() | figures, error=st.none() | figures,
    windows=st.integers(0, 12), message=texts,
)  # fmt: skip
measurements = made(
    words.Measurement, log_throughput=figures, log_p95=figures, log_capacity=figures,
    spread=st.floats(0, 10), windows=st.integers(1, 12), saturated=st.booleans(),
    rejected=st.floats(0, 1),
)  # fmt: skip
trials = made(
    words.Trial, id=st.integers(1), kind=st.sampled_from(["Jump", "Polish", "Latency", "Memory"]),
    stage=st.sampled_from(["Applying", "Measuring", "Confirming"]), stage_since=moments,
    started_at=moments, deadline=moments, from_=knobs, to=knobs, predicted_gain=figures,
    reason=texts, canary=st.lists(st.just("p" * 60), max_size=1),
    pods=st.lists(st.just("p" * 60), max_size=32), restarts=st.integers(0, 99),
    baseline=measurements, control=st.none() | measurements, after=st.none() | measurements,
)  # fmt: skip
evidence = made(
    words.Evidence, name=st.text(max_size=40), value=figures, threshold=st.none() | figures
)
memories = made(
    words.TuningMemory, base=st.none() | knobs, trial=st.none() | trials,
    history=st.lists(entries, max_size=10),
    refused=st.lists(made(words.Refused, setting=knobs, until=moments), max_size=8),
    diagnosis=st.none()
    | made(
        words.Diagnosis, bottleneck=st.sampled_from(["NoData", "CPUBound"]), since=moments,
        confidence=st.floats(0, 1), message=texts, remedy=texts,
        evidence=st.lists(evidence, max_size=10),
    ),
    problem=texts, trials=st.integers(0, 10**6), noise=st.floats(0, 1),
    correction=st.floats(0.01, 1),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(memories)
def test_a_memory_comes_back_from_status_as_it_was(memory: words.TuningMemory) -> None:
    stored = memory.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert words.TuningMemory.model_validate(stored) == memory


@settings(max_examples=40, deadline=None)
@given(memories)
def test_no_memory_is_larger_than_status_allows(memory: words.TuningMemory) -> None:
    small = remember.fitted(memory)
    assert remember.size_bytes(small) <= words.MAX_MEMORY_BYTES
    assert small.trial == memory.trial
    assert small.history == memory.history[: len(small.history)]


def test_a_memory_of_a_long_life_keeps_its_whole_history() -> None:
    policy = words.TuningPolicy(window_seconds=10)
    world = World(Plant(fetch_request=0.5, cores=4), Setting(1, 1), policy)
    world.run(20)
    memory = world.memory
    assert memory.history
    full = memory.model_copy(update={"history": memory.history[:1] * words.MAX_HISTORY})
    assert remember.fitted(full) == full


def test_an_unknown_field_of_a_newer_operator_is_passed_over() -> None:
    assert words.TuningMemory.model_validate({"trials": 3, "oracle": True}).trials == 3


def test_a_moment_is_rfc_3339_outside() -> None:
    refused = words.Refused(setting=words.Knobs.of(Setting(1, 1)), until=1_700_000_000.25)
    assert refused.model_dump(mode="json")["until"] == "2023-11-14T22:13:20.250Z"
    with pytest.raises(ValueError, match="until"):
        words.Refused.model_validate(
            {"setting": {"numStreams": 1, "semaphoreSize": 1}, "until": "x"}
        )


def test_min_over_max_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="lower min or raise max"):
        words.TuningBounds.model_validate({"numStreams": {"min": 4, "max": 2}})


def test_a_recommendation_is_an_exact_command_and_stays_still() -> None:
    observation = World(Plant(users=1), Setting(1, 1), words.TuningPolicy()).observe()
    move = Move("Jump", Point(1, 4, 8), 0.42, "permits hold it")
    first = recommend(move, Setting(1, 4), observation, None)
    assert first.patch == (
        "kubectl patch embeddingservices.sluice.dev clip -n default --type merge "
        """-p '{"spec":{"semaphoreSize":4}}'"""
    )
    again = Move("Jump", Point(1, 4, 8), 0.44, "permits hold it")
    assert recommend(again, Setting(1, 4), observation, first) is first
    assert "decodeDevice" in patch(Setting(1, 1, 0, "gpu"), Setting(1, 1), "a", "b")


@pytest.mark.parametrize(
    "changed",
    [
        Figures(images=140.0), Figures(images=60.0), Figures(images_per_request=20.0),
        Figures(cpu=0.9), Figures(waiting=5.0), Figures(p95_seconds=2.0),
    ],
)  # fmt: skip
def test_rest_ends_when_the_world_is_another_one(changed: Figures) -> None:
    rest = settle(Figures().sample, "nothing to gain", 1.0, None, 100.0)
    assert moved(rest, Figures(images=110.0, cpu=0.55).sample, 1.0, 0.05) is None
    assert moved(rest, changed.sample, 1.0, 0.05)


def test_an_idle_service_wakes_when_load_comes_and_noise_wakes_nobody() -> None:
    idle = settle(Figures(images=0.0).sample, "idle", None, None, 0.0)
    assert "came back" in str(moved(idle, Figures().sample, None, 0.05))
    rest = settle(Figures().sample, "", None, None, 0.0)
    assert moved(rest, Figures(images=150.0, cpu=0.75).sample, None, 0.2) is None
    assert settle(Figures().sample, "again", None, rest, 5.0) is rest


def test_the_diagnosis_of_ten_numbers_fits_its_field() -> None:
    full = Figures(memory=0.5, gpu=0.9, inflight=1.0, waiting=3.0)
    verdict = diagnose(windows({"a": full}, 3), 1.0, None, 0.0)
    assert len(verdict.evidence) <= words.MAX_EVIDENCE
    assert all(math.isfinite(one.value) for one in verdict.evidence)
