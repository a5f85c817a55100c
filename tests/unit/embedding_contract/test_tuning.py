"""The tuning file is read strictly and written canonically."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.tuning import (
    DECODE_DEVICES,
    MAX_DECODE_WORKERS,
    MAX_FILE_BYTES,
    MAX_GENERATION,
    MAX_SEMAPHORE,
    MAX_STREAMS,
    Setting,
    TuningFile,
    TuningRejected,
    dump_tuning,
    parse_tuning,
)

settings = st.builds(
    Setting,
    num_streams=st.integers(1, MAX_STREAMS),
    semaphore_size=st.integers(1, MAX_SEMAPHORE),
    decode_workers=st.integers(0, MAX_DECODE_WORKERS),
    decode_device=st.sampled_from(DECODE_DEVICES),
)
files = st.builds(
    TuningFile,
    generation=st.integers(0, MAX_GENERATION),
    default=settings,
    pods=st.dictionaries(st.text("abcdef0123456789-", min_size=1, max_size=40), settings),
)


def document(**changes: Any) -> str:
    """A valid file with parts replaced."""
    valid = {
        "version": 1,
        "generation": 7,
        "default": {"numStreams": 4, "semaphoreSize": 8},
        "pods": {},
    }
    return json.dumps(valid | changes)


@given(files)
def test_what_is_written_is_read_back(file: TuningFile) -> None:
    assert parse_tuning(dump_tuning(file)) == file


@given(files)
def test_equal_files_give_equal_text(file: TuningFile) -> None:
    reordered = TuningFile(file.generation, file.default, dict(reversed(list(file.pods.items()))))
    assert dump_tuning(reordered) == dump_tuning(file)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_input_does_anything_but_parse_or_be_refused(text: bytes | str) -> None:
    try:
        parse_tuning(text)
    except TuningRejected as error:
        assert str(error)  # noqa: PT017 - both outcomes are allowed, a third is not


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_json_value_does_anything_but_parse_or_be_refused(value: object) -> None:
    with pytest.raises(TuningRejected):
        parse_tuning(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        pytest.param("{", "malformed", "not JSON", id="cut-off"),
        pytest.param("[]", "malformed", "must be an object", id="not-an-object"),
        pytest.param(document(version=2), "unknown_version", "reads 1", id="newer-version"),
        pytest.param(document(version=True), "unknown_version", "True", id="version-is-true"),
        pytest.param(document(extra=1), "unknown_field", "extra", id="unknown-field"),
        pytest.param(document(generation=-1), "out_of_range", "-1", id="negative-generation"),
        pytest.param(document(generation=1.5), "malformed", "whole number", id="fraction"),
        pytest.param(document(default={}), "malformed", "lacks numStreams", id="no-streams"),
        pytest.param(
            document(default={"numStreams": 0, "semaphoreSize": 8}),
            "out_of_range", "allowed: 1 to 32", id="no-lane",
        ),
        pytest.param(
            document(default={"numStreams": True, "semaphoreSize": 8}),
            "malformed", "whole number", id="streams-is-true",
        ),
        pytest.param(
            document(default={"numStreams": 1, "semaphoreSize": 8, "decodeDevice": "tpu"}),
            "out_of_range", "auto, cpu, gpu", id="unknown-device",
        ),
        pytest.param(
            document(pods={"a": {"numStreams": 1, "semaphoreSize": 0}}),
            "out_of_range", "pods.a.semaphoreSize", id="bad-override",
        ),
        pytest.param(" " * (MAX_FILE_BYTES + 1), "malformed", "larger", id="too-large"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_whole_with_its_reason(text: str, reason: str, words: str) -> None:
    with pytest.raises(TuningRejected, match=words) as refused:
        parse_tuning(text)
    assert refused.value.reason == reason


def test_an_override_counts_for_its_pod_alone() -> None:
    canary = Setting(6, 8)
    file = TuningFile(1, Setting(4, 8), {"clip-a": canary})
    assert file.for_pod("clip-a") == canary
    assert file.for_pod("clip-b") == file.default
