"""The table of classes: complete, ordered, and steady at its thresholds."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract import bottleneck
from embedding_contract.bottleneck import Bottleneck, Load, classify, explain

LAYERS = (*bottleneck.HARDWARE, *bottleneck.POOLS)
LOAD = Load(seconds=30.0, images=100.0, requests=10.0, waiting=2.0, permits=4)
share = st.none() | st.floats(0, 1.2)
shares = st.fixed_dictionaries(dict.fromkeys(bottleneck.SHARES, share))


def test_every_class_has_a_remedy_and_every_resource_a_word_and_a_threshold() -> None:
    assert set(bottleneck.REMEDIES) == set(get_args(Bottleneck))
    assert set(bottleneck.WORDS) == set(bottleneck.THRESHOLDS) == set(bottleneck.SHARES)


@pytest.mark.parametrize(("name", "verdict", "limit"), LAYERS)
def test_a_class_begins_at_its_threshold_and_ends_a_little_below(
    name: str, verdict: Bottleneck, limit: float
) -> None:
    assert classify({name: limit}, queueing=True) == verdict
    below = {name: limit - bottleneck.HOLD / 2}
    assert classify(below, queueing=True) == "Balanced"
    assert classify(below, queueing=True, last=verdict) == verdict


@settings(deadline=None)
@given(shares, st.booleans())
def test_permits_are_blamed_only_where_nothing_inside_is_full(
    found: dict[str, float | None], queueing: bool
) -> None:
    verdict = classify(found, queueing=queueing)
    full = [name for name, _, limit in LAYERS if (found[name] or 0.0) >= limit]
    if verdict in ("AdmissionLimited", "ClientLimited", "Balanced"):
        assert not full
    elif verdict != "MemoryBound":
        assert {verdict} <= {one for name, one, _ in LAYERS if name in full}


@settings(deadline=None)
@given(shares, st.sampled_from(get_args(Bottleneck)), st.floats(0, 100))
def test_a_verdict_is_one_sentence_whatever_the_figures(
    found: dict[str, float | None], verdict: Bottleneck, requests: float
) -> None:
    load = Load(seconds=30.0, images=1.0, requests=requests, waiting=0.0, permits=4)
    sentence = explain(verdict, found, load)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_sentence_names_the_resource_and_its_share() -> None:
    assert explain("CPUBound", {"cpu": 0.981}, LOAD) == (
        "The CPU is 98 % busy: 100 images/s a pod over 30 s, 2 requests waiting."
    )


def test_waiting_or_refused_requests_are_a_queue() -> None:
    assert bottleneck.is_queueing(0.3, 0.0)
    assert bottleneck.is_queueing(0.0, 0.005)
    assert not bottleneck.is_queueing(0.29, 0.004)
