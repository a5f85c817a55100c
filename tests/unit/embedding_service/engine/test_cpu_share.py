"""Lanes take the cores that nobody decodes on."""

from hypothesis import given
from hypothesis import strategies as st

from embedding_service.engine.cpu_share import lane_threads


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
