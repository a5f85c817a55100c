"""Lanes take the cores that nobody decodes on."""

from hypothesis import given
from hypothesis import strategies as st

from embedding_service.engine.cpu_share import (
    COMPANY,
    LIVE_COMPANY,
    decoding_now,
    lane_threads,
    wants_company,
)


def test_one_lane_takes_all_cores_when_nobody_decodes() -> None:
    assert lane_threads(8.0, 1, 0) == 8
    assert lane_threads(8.0, 2, 0) == 4


def test_decoders_keep_their_cores() -> None:
    assert lane_threads(8.0, 1, 6) == 2
    assert lane_threads(2.0, 1, 2) == 1


@given(st.floats(0.1, 512), st.integers(1, 32), st.integers(0, 256))
def test_a_lane_has_a_thread_and_lanes_never_take_more_than_the_cores(
    cores: float, lanes: int, decoding: int
) -> None:
    threads = lane_threads(cores, lanes, decoding)
    assert threads >= 1
    assert threads == 1 or threads * lanes + decoding <= cores


def test_a_thread_between_two_images_counts_while_images_wait() -> None:
    assert decoding_now(4, 3, 0, pending=True) == 4
    assert decoding_now(4, 3, 0, pending=False) == 3
    assert decoding_now(4, 1, 3, pending=True) == 1


def test_a_small_batch_waits_only_while_every_core_decodes() -> None:
    assert wants_company(2.0, 2, 3, pending=True, live=False)
    assert not wants_company(2.0, 1, 3, pending=True, live=False)
    assert not wants_company(2.0, 2, 3, pending=False, live=False)


@given(st.floats(0.1, 512), st.integers(0, 256), st.integers(1, 64), st.booleans(), st.booleans())
def test_nobody_waits_for_more_than_company(
    cores: float, decoding: int, ready: int, pending: bool, live: bool
) -> None:
    if wants_company(cores, decoding, ready, pending=pending, live=live):
        assert ready < (LIVE_COMPANY if live else COMPANY)
        assert pending
        assert decoding >= int(cores)
