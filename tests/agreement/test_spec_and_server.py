"""The spec's bounds and defaults are the server's own: a value the API takes, the server takes."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from embedding_contract import tuning
from embedding_contract.endpoints import Environment
from embedding_operator.api.spec import EmbeddingServiceSpec, ImagesSpec, LimitsSpec, ReuseSpec
from embedding_operator.api.tuning import Knobs
from embedding_operator.render.environment import environment
from embedding_operator.render.volumes import volumes_and_mounts
from embedding_service.allowed import FETCH_URLS
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
IMAGES = {
    "fetch_timeout_seconds": Environment.FETCH_TIMEOUT_SECONDS,
    "fetch_redirects": Environment.FETCH_REDIRECTS,
    "fetch_concurrency": Environment.FETCH_CONCURRENCY,
    "max_fetch_bytes": Environment.MAX_FETCH_BYTES,
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


@pytest.mark.parametrize("field", [*IMAGES, "fetch_urls"])
def test_a_source_of_images_has_one_default(field: str) -> None:
    assert getattr(ImagesSpec(), field) == getattr(server(), field)


def test_both_know_the_same_ways_to_fetch() -> None:
    assert get_args(ImagesSpec.model_fields["fetch_urls"].annotation) == FETCH_URLS


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("fetch_hosts", ["example.org", "A.example", "a_b.example"]),
        ("fetch_networks", ["10.1.0.0/16", "fc00::/7", "::ffff:10.0.0.0/104"]),
        ("object_prefixes", ["s3://albums", "s3://albums/2024", "gs://a.b-c_d/e"]),
    ],
)
def test_a_list_that_the_spec_takes_the_server_takes(field: str, values: list[str]) -> None:
    made = plan(images={to_camel(field): values})
    variables = {one["name"]: one.get("value", "") for one in environment(made)}
    taken = getattr(ServerSettings.from_env(variables), field)
    assert len(taken) == len(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fetch_hosts", "https://example.org"), ("fetch_hosts", "*.example.org"),
        ("fetch_networks", "10.0.0.1/8"), ("fetch_networks", "10.0.0.0"),
        ("fetch_networks", "300.0.0.0/8"), ("object_prefixes", "albums/2024"),
        ("object_prefixes", "https://a/"), ("object_prefixes", "s3://A"),
    ],
)  # fmt: skip
def test_a_list_that_the_server_refuses_the_spec_refuses(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        ImagesSpec.model_validate({to_camel(field): [value]})
    if value != "10.0.0.0":  # the server also takes a network of one address without its slash
        with pytest.raises(SettingsError):
            server(**{getattr(Environment, field.upper()): value})


@pytest.mark.parametrize(
    ("model", "field", "variable"),
    [(LimitsSpec, *pair) for pair in LIMITS.items()]
    + [(ImagesSpec, *pair) for pair in IMAGES.items()]
    + [(EmbeddingServiceSpec, *pair) for pair in KNOBS.items()]
    + [(ReuseSpec, "cache_bytes", Environment.CACHE_BYTES)],
    ids=[*LIMITS, *IMAGES, *KNOBS, "cache_bytes"],
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
