"""The policy's words: defaults, bounds, and messages that say what to do."""

import pytest
from pydantic import ValidationError

from embedding_operator.api.tuning import PrometheusSource, TuningPolicy


def test_an_empty_policy_tunes_within_modest_bounds() -> None:
    policy = TuningPolicy.model_validate({})
    assert policy.mode == "Auto"
    assert (policy.bounds.num_streams.max, policy.bounds.semaphore_size.max) == (8, 64)
    assert (policy.window_seconds, policy.windows) == (30.0, 3)
    assert policy.objective.p95_seconds is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "auto"}, {"windowSeconds": 1}, {"windows": 1}, {"objective": {"p95Seconds": 0}},
        {"bounds": {"numStreams": {"min": 0}}}, {"bounds": {"semaphoreSize": {"max": 2000}}},
        {"bounds": {"decodeWorkers": {"min": 3, "max": 2}}}, {"window": 30},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TuningPolicy.model_validate(wrong)


@pytest.mark.parametrize(
    "address", ["http://prometheus.monitoring:9090", "https://thanos.example/prefix/"]
)
def test_an_address_is_a_plain_base_address(address: str) -> None:
    assert PrometheusSource(address=address).address == address


@pytest.mark.parametrize(
    "address",
    ["prometheus:9090", "ftp://x", "http://", "http://a?b=c", "http://a#b", "http://me:pw@host"],
)
def test_an_address_holds_no_question_no_name_and_no_password(address: str) -> None:
    with pytest.raises(ValidationError):
        PrometheusSource(address=address)
