"""What a user may write, and what the refusal says."""

from typing import Any

import pytest

from embedding_contract.tuning import Setting
from embedding_operator.api import rules
from embedding_operator.api.service import EmbeddingService, parse_service
from fakes.cluster import resource


def parsed(status: dict[str, Any] | None = None, **spec: Any) -> EmbeddingService:
    return parse_service({**resource(**spec), "status": status or {}})


def test_the_least_is_a_model() -> None:
    spec = parsed().spec
    assert spec is not None
    assert spec.setting == Setting(1, 4)
    assert (spec.replicas, spec.gpu.count, spec.tuning.mode) == (1, 1, "Auto")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"numStreams": 0}, "spec.numStreams: Input should be greater than or equal to 1"),
        ({"numStreams": "many"}, "spec.numStreams"),
        ({"numStream": 2}, "spec.numStream: Extra inputs are not permitted"),
        ({"model": {"name": "x"}}, "spec.model.pretrained: Field required"),
        ({"numStreams": 9}, rules.STREAMS_OUTSIDE),
        (
            {"semaphoreSize": 2, "tuning": {"bounds": {"semaphoreSize": {"min": 4, "max": 8}}}},
            rules.SEMAPHORE_OUTSIDE,
        ),
        (
            {"decodeWorkers": 2, "tuning": {"bounds": {"decodeWorkers": {"min": 4, "max": 8}}}},
            rules.WORKERS_OUTSIDE,
        ),
        ({"gpu": {"count": 0}, "decodeDevice": "gpu"}, rules.NO_GPU_TO_DECODE),
        (
            {"tuning": {"bounds": {"numStreams": {"min": 3, "max": 2}}}},
            "min must not be greater than max",
        ),
        ({"tracing": {"endpoint": "collector:4318"}}, "spec.tracing.endpoint"),
        ({"tracing": {"endpoint": "http://c", "samplingRatio": 2}}, "spec.tracing.samplingRatio"),
        ({"apiKeys": {}}, "spec.apiKeys.secretName: Field required"),
        ({"apiKeys": {"secretName": "s", "key": "a/b"}}, "spec.apiKeys.key"),
        ({"resources": {"limits": {"cpu": "two"}}}, "write for example 500m, 2 or 4Gi"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(spec: dict[str, Any], words: str) -> None:
    service = parsed(**spec)
    assert service.spec is None
    assert words in service.problem


def test_zero_decode_workers_are_inside_any_bounds() -> None:
    bounds = {"decodeWorkers": {"min": 4, "max": 8}}
    assert parsed(tuning={"bounds": bounds}).spec is not None


def test_a_memory_that_cannot_be_read_does_not_lose_the_setting_in_force() -> None:
    knobs = {"numStreams": 3, "semaphoreSize": 9}
    pool = {"name": "default", "setting": knobs, "generation": 7, "tuning": {"noise": "loud"}}
    status = parsed({"pools": [pool], "image": "x"}).status
    assert status.pool().generation == 7
    assert status.pool().setting is not None
    assert status.pool().tuning.noise == 0.08


def test_a_status_that_cannot_be_read_keeps_the_image() -> None:
    status = parsed({"pools": [{"name": "default", "generation": -1}], "image": "x"}).status
    assert (status.image, status.pools) == ("x", [])


def test_status_of_a_newer_operator_is_read_as_far_as_known() -> None:
    assert parsed({"observedGeneration": 3, "fancy": True}).status.observed_generation == 3


def test_several_problems_are_all_told() -> None:
    problem = parsed(numStreams=0, semaphoreSize=0).problem
    assert "spec.numStreams" in problem
    assert "spec.semaphoreSize" in problem
