"""The spec's bounds and defaults are the server's own: a value the API takes, the server takes."""

from typing import Any, get_args

import pytest

from embedding_contract import tuning
from embedding_contract.endpoints import Environment
from embedding_operator.api.spec import EmbeddingServiceSpec, LimitsSpec, ReuseSpec
from embedding_operator.api.tuning import Knobs
from embedding_operator.render.environment import environment
from embedding_operator.render.volumes import volumes_and_mounts
from embedding_service.settings import ServerSettings, SettingsError
from embedding_service.web.tracing import wants_tracing
from fakes.plans import plan

REQUIRED = {Environment.MODEL: "sluice-tiny", Environment.PRETRAINED: "random:0"}
LIMITS = {
    "queue_size": Environment.QUEUE_SIZE,
    "queue_timeout_seconds": Environment.QUEUE_TIMEOUT_SECONDS,
    "live_items": Environment.LIVE_ITEMS,
    "deadline_seconds": Environment.DEADLINE_SECONDS,
    "max_request_bytes": Environment.MAX_REQUEST_BYTES,
    "max_image_bytes": Environment.MAX_IMAGE_BYTES,
    "max_image_pixels": Environment.MAX_IMAGE_PIXELS,
    "max_images_per_request": Environment.MAX_IMAGES_PER_REQUEST,
    "drain_seconds": Environment.DRAIN_SECONDS,
}
KNOBS = {
    "num_streams": Environment.NUM_STREAMS,
    "semaphore_size": Environment.SEMAPHORE_SIZE,
    "decode_workers": Environment.DECODE_WORKERS,
    "max_batch": Environment.MAX_BATCH,
}


def edges(model: Any, field: str) -> tuple[float, float]:
    """The least and the greatest value that the spec allows."""
    bounds = {type(part).__name__: part for part in model.model_fields[field].metadata}
    return bounds["Ge"].ge, bounds["Le"].le


def server(**changes: object) -> ServerSettings:
    return ServerSettings.from_env(REQUIRED | {key: str(value) for key, value in changes.items()})


@pytest.mark.parametrize(("field", "variable"), LIMITS.items(), ids=LIMITS)
def test_a_limit_has_one_default(field: str, variable: str) -> None:
    assert getattr(LimitsSpec(), field) == getattr(server(), field)


@pytest.mark.parametrize(
    ("model", "field", "variable"),
    [(LimitsSpec, *pair) for pair in LIMITS.items()]
    + [(EmbeddingServiceSpec, *pair) for pair in KNOBS.items()]
    + [(ReuseSpec, "cache_bytes", Environment.CACHE_BYTES)],
    ids=[*LIMITS, *KNOBS, "cache_bytes"],
)
def test_the_server_takes_what_the_spec_takes_and_no_more(
    model: Any, field: str, variable: str
) -> None:
    least, greatest = edges(model, field)
    server(**{variable: least})
    server(**{variable: greatest})
    for outside in (least - 1, greatest + 1):
        with pytest.raises(SettingsError, match=variable):
            server(**{variable: outside})


def test_what_is_chosen_has_one_default_and_the_same_words() -> None:
    assert LimitsSpec().admit_by == server().admit_by
    for word in get_args(LimitsSpec.model_fields["admit_by"].annotation):
        assert server(**{Environment.ADMIT_BY: word}).admit_by == word
    assert ReuseSpec().share_identical == server().share_identical
    assert ReuseSpec().cache_bytes == server().cache_bytes


@pytest.mark.parametrize("model", [EmbeddingServiceSpec, Knobs], ids=["spec", "status"])
@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("num_streams", tuning.MIN_STREAMS, tuning.MAX_STREAMS),
        ("semaphore_size", tuning.MIN_SEMAPHORE, tuning.MAX_SEMAPHORE),
        ("decode_workers", tuning.MIN_DECODE_WORKERS, tuning.MAX_DECODE_WORKERS),
    ],
)
def test_a_knob_has_the_bounds_of_the_tuning_file(
    model: Any, field: str, low: int, high: int
) -> None:
    assert edges(model, field) == (low, high)


def test_the_server_takes_the_tracing_that_the_operator_writes() -> None:
    made = plan(tracing={"endpoint": "https://collector:4318", "samplingRatio": 0.5})
    variables = {each["name"]: each.get("value", "") for each in environment(made)}
    assert wants_tracing(variables)
    assert not wants_tracing({each["name"]: each.get("value", "") for each in environment(plan())})


def test_the_server_reads_the_keys_where_the_operator_mounts_them() -> None:
    made = plan(apiKeys={"secretName": "clip-keys"})
    variables = {each["name"]: each.get("value", "") for each in environment(made)}
    file = server(**{Environment.API_KEYS_FILE: variables[Environment.API_KEYS_FILE]}).api_keys_file
    volumes, mounts = volumes_and_mounts(made)
    assert file is not None
    assert str(file.parent) in [mount["mountPath"] for mount in mounts]
    assert file.name == volumes[-1]["secret"]["items"][0]["path"]
