"""The pod's own verdict: a class for each full resource, shares of what there is, one window."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_contract.tuning import Setting
from embedding_service.activity import PARTS, Activity, Device, Reading, judge, recent

SETTING = Setting(2, 4, 2, "cpu")
CPU, GPU = Device(cores=2.0), Device(cores=8.0, memory=0.5)
SECONDS = 30.0


def window(
    busy: Mapping[str, float] | None = None,
    device: Device = CPU,
    *,
    setting: Setting = SETTING,
    in_flight: float = 4.0,
    waiting: float = 3.0,
    requests: float = 300.0,
    rejected: float = 0.0,
) -> Activity:
    """Judge half a minute in which resources were busy for `busy` seconds."""
    before = {"cpu": 50.0}
    first = Reading(0.0, setting, busy=before, in_flight=99.0)
    after = {name: before.get(name, 0.0) + seconds for name, seconds in (busy or {}).items()}
    newest = Reading(
        SECONDS, setting, requests=requests, images=requests * 10, rejected=rejected,
        in_flight=in_flight, permits=in_flight, waiting=waiting,
        busy=before | after,
    )  # fmt: skip
    found = judge([first, newest], device)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("expected", "activity"),
    [
        ("CPUBound", window({"cpu": 58.0, "decode": 60.0})),
        ("GPUSaturated", window({"gpu": 28.0, "lanes": 60.0}, GPU)),
        ("HostBound", window({"gil": 27.0, "lanes": 60.0})),
        ("HostBound", window({"loop": 27.0})),
        ("CopyBound", window({"copy": 29.0, "lanes": 60.0}, GPU)),
        ("MemoryBound", window({"gpu": 29.0}, replace(GPU, memory=0.96))),
        ("DecodeLimited", window({"decode": 58.0})),
        ("StreamLimited", window({"lanes": 59.0})),
        ("AdmissionLimited", window({"lanes": 30.0})),
        ("ClientLimited", window({"lanes": 30.0}, in_flight=1.0, waiting=0.0)),
        ("Balanced", window({"lanes": 55.0}, in_flight=1.0)),
        ("NoData", window({"lanes": 1.0}, requests=3.0, waiting=0.0)),
    ],
)
def test_each_class_is_told_with_its_words(expected: str, activity: Activity) -> None:
    assert activity.verdict == expected
    document = activity.to_mapping()
    assert document["bottleneck"] == expected
    assert "30 s" in str(document["message"])
    assert document["remedy"]


def test_shares_are_of_what_there_is() -> None:
    shares = window({"cpu": 30.0, "decode": 15.0, "lanes": 30.0}, in_flight=2.0).shares
    assert shares["cpu"] == pytest.approx(0.5)
    assert shares["decode"] == pytest.approx(0.25)
    assert shares["lanes"] == pytest.approx(0.5)
    assert shares["permits"] == pytest.approx(0.5)
    assert shares["gpu"] is None
    assert shares["copy"] is None
    assert shares["memory"] is None


def test_a_decoder_on_the_gpu_is_the_decode_pool_there() -> None:
    on_gpu = replace(SETTING, decode_device="gpu")
    activity = window({"gpu_decode": 29.0, "decode": 1.0}, GPU, setting=on_gpu)
    assert activity.verdict == "DecodeLimited"


def test_refused_requests_are_a_queue_too() -> None:
    activity = window({}, waiting=0.0, rejected=30.0)
    assert activity.rejected == pytest.approx(1 / 11)
    assert activity.verdict == "AdmissionLimited"


def test_no_requests_are_the_clients_choice() -> None:
    activity = window(requests=0.0, in_flight=0.0, waiting=0.0)
    assert (activity.verdict, activity.message) == ("ClientLimited", "No requests in 30 s.")
    assert activity.parts == {}


def test_the_parts_are_the_way_of_one_image_and_not_sums() -> None:
    first = Reading(0.0, SETTING)
    newest = Reading(
        SECONDS, SETTING, requests=10, images=100,
        stages={"decode": (1.0, 100), "compute": (0.8, 10), "serialise": (0.1, 10)},
        waits={"fetch": (0.4, 10), "decode": (1.0, 100), "queue": (0.1, 10)},
    )  # fmt: skip
    found = judge([first, newest], CPU)
    assert found is not None
    seconds = {"decode": 0.01, "compute": 0.08, "serialise": 0.01, "wait": 0.04, "queue": 0.02}
    assert found.parts == pytest.approx(
        {name: seconds.get(name, 0.0) / sum(seconds.values()) for name in PARTS}
    )


def test_a_window_that_is_too_short_says_nothing() -> None:
    assert judge([], CPU) is None
    assert judge([Reading(0.0, SETTING), Reading(1.9, SETTING)], CPU) is None


def test_a_class_at_its_threshold_stays() -> None:
    readings = [Reading(0.0, SETTING), Reading(SECONDS, SETTING, busy={"cpu": 55.0}, waiting=1.0)]
    first, again = judge(readings, CPU), judge(readings, CPU, "CPUBound")
    assert first is not None
    assert again is not None
    assert (first.verdict, again.verdict) == ("Balanced", "CPUBound")


def test_only_the_setting_in_force_is_judged() -> None:
    other = Setting(1, 4, 2, "cpu")
    readings = [Reading(float(at), other if at < 20 else SETTING) for at in range(60)]
    kept = recent(readings)
    assert (kept[0].at, kept[-1].at) == (29.0, 59.0)
    assert [reading.at for reading in recent(readings[:25])] == [20.0, 21.0, 22.0, 23.0, 24.0]
    assert recent([]) == []


passes = st.dictionaries(
    st.sampled_from(["fetch", "decode", "queue", "compute", "serialise"]),
    st.tuples(st.floats(0, 1e4), st.integers(0, 10**6)),
)


newest_readings = st.builds(
    Reading,
    at=st.floats(2, 1e4),
    setting=st.just(SETTING),
    requests=st.floats(0, 1e6),
    waiting=st.floats(0, 100),
    busy=st.dictionaries(st.sampled_from(["cpu", "gil", "lanes", "decode"]), st.floats(0, 1e6)),
    stages=passes,
    waits=passes,
)


@settings(deadline=None)
@given(newest_readings)
def test_whatever_the_counters_say_there_is_a_verdict(newest: Reading) -> None:
    found = judge([Reading(0.0, SETTING), newest], CPU)
    assert found is not None
    assert all(share is None or share >= 0 for share in found.shares.values())
    assert not found.parts or sum(found.parts.values()) == pytest.approx(1)
    assert set(found.parts) in (set(), set(PARTS))
