"""The server's settings."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract.endpoints import Environment
from embedding_contract.tuning import Setting
from embedding_service.settings import ServerSettings, SettingsError, describe_settings

LEAST = {Environment.MODEL: "ViT-B-32", Environment.PRETRAINED: "openai"}
NAMES = [value for name, value in vars(Environment).items() if name.isupper()]


def read(**variables: str) -> ServerSettings:
    return ServerSettings.from_env(LEAST | variables)


def test_only_the_model_and_its_weights_must_be_given() -> None:
    settings = ServerSettings.from_env(LEAST)
    assert (settings.model, settings.pretrained) == ("ViT-B-32", "openai")
    assert (settings.port, settings.queue_size, settings.max_images_per_request) == (8000, 64, 256)
    assert settings.tuning_directory is None
    assert (settings.fetch_urls, settings.fetch_networks, settings.object_prefixes) == (
        "public", (), (),
    )  # fmt: skip
    assert settings.cpu_limit is None


@pytest.mark.parametrize("missing", [Environment.MODEL, Environment.PRETRAINED])
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is not set, give it"):
        ServerSettings.from_env({name: value for name, value in LEAST.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        (Environment.PORT, "http", "a whole number from 0 to 65535"),
        (Environment.PORT, "70000", "a whole number from 0 to 65535"),
        (Environment.NUM_STREAMS, "0", "a whole number from 1 to 32"),
        (Environment.SEMAPHORE_SIZE, "1.5", "a whole number from 1 to 1024"),
        (Environment.SEMAPHORE_SIZE, "0", "a whole number from 1 to 1024, or auto"),
        (Environment.PARITY_CHECK, "maybe", "on, off"),
        (Environment.PRECISION, "int4", "auto, fp32, bf16, fp16, tf32"),
        (Environment.DEVICE, "tpu", "auto, cpu, cuda"),
        (Environment.DECODE_DEVICE, "cuda", "auto, cpu, gpu"),
        (Environment.TUNING_DIRECTORY, "tuning", "an absolute path"),
        (Environment.QUEUE_TIMEOUT_SECONDS, "-1", "a number from 0"),
        (Environment.DRAIN_SECONDS, "nan", "a number from 0"),
        (Environment.CPU_LIMIT, "inf", "0 means no limit"),
        (Environment.FETCH_URLS, "all", "none, public, any"),
        (Environment.FETCH_NETWORKS, "10.0.0.1/8", "10.1.0.0/16"),
        (Environment.FETCH_HOSTS, "a.example,*", "example.org"),
        (Environment.OBJECT_PREFIXES, "albums/", "s3://albums/2024/"),
        (Environment.MAX_IMAGE_PIXELS, "", ""),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(
    name: str, value: str, allowed: str
) -> None:
    if not value:
        assert read(**{name: value}) == ServerSettings.from_env(LEAST)
        return
    with pytest.raises(SettingsError) as caught:
        read(**{name: value})
    assert str(caught.value).startswith(f"{name} is {value!r}, allowed: ")
    assert allowed in str(caught.value)


def test_values_are_read_as_what_they_are() -> None:
    settings = read(
        EMBEDDING_IMAGE_FOLDER="/data", EMBEDDING_CPU_LIMIT="1.5", EMBEDDING_NUM_STREAMS=" 4 "
    )
    assert settings.image_folder == Path("/data")
    assert settings.cpu_limit == 1.5
    assert settings.initial.num_streams == 4
    listed = read(EMBEDDING_OBJECT_PREFIXES=" s3://albums/2024 , ,gs://photos/")
    assert listed.object_prefixes == ("s3://albums/2024/", "gs://photos/")


def test_a_knob_that_is_auto_takes_the_suggestion_and_a_given_one_does_not() -> None:
    suggested = Setting(2, 7, 16, "cpu")
    assert read().started_with(suggested) == read().initial == Setting(1, 4)
    both = read(EMBEDDING_NUM_STREAMS="auto", EMBEDDING_SEMAPHORE_SIZE="auto")
    assert both.initial == Setting(1, 4), "until the warm-up has measured"
    assert both.started_with(suggested) == Setting(2, 7)
    one = read(EMBEDDING_NUM_STREAMS="3", EMBEDDING_SEMAPHORE_SIZE="auto")
    assert one.started_with(suggested) == Setting(3, 7)


def test_a_cpu_limit_of_zero_is_no_limit() -> None:
    assert read(EMBEDDING_CPU_LIMIT="0").cpu_limit is None


@settings(deadline=None)
@given(st.integers(-10_000, 100_000))
def test_a_number_is_taken_exactly_when_it_is_in_its_bounds(number: int) -> None:
    if 1 <= number <= 1024:
        assert read(EMBEDDING_MAX_BATCH=str(number)).max_batch == number
    else:
        with pytest.raises(SettingsError):
            read(EMBEDDING_MAX_BATCH=str(number))


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        assert read(EMBEDDING_QUEUE_SIZE=text).queue_size >= 0
    except SettingsError as error:
        assert "EMBEDDING_QUEUE_SIZE" in str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_the_contract_is_explained(name: str) -> None:
    assert f"{name}  (" in describe_settings()


def test_the_grace_for_endpoints_is_part_of_the_drain() -> None:
    assert read().endpoint_grace_seconds == 2.0
    assert read(EMBEDDING_DRAIN_SECONDS="1").endpoint_grace_seconds == 0.25
