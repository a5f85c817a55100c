"""The watch of the pod's own counters: one reading a second, little while nothing happens."""

import pytest
from prometheus_client import CollectorRegistry

from embedding_contract.tuning import Setting
from embedding_service import metrics
from embedding_service.metrics import Instruments
from embedding_service.web.activity_watch import ActivityWatch


class Bench:
    """Instruments and a watch whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.instruments = Instruments(CollectorRegistry())
        self.instruments.setting(Setting(2, 4, 2, "cpu"))
        self.instruments.cpu(64.0, lambda: 0.0)
        self.in_flight = self.waiting = 0.0
        self.instruments.watch_admission(
            lambda: self.in_flight, lambda: self.waiting, lambda: self.in_flight
        )
        self.watch = ActivityWatch(self.instruments, lambda: self.now)

    def second(self, *, requests: int = 0, lanes: float = 0.0, decode: float = 0.0) -> None:
        """Let one second pass in which this much was done."""
        for _ in range(requests):
            self.instruments.request_finished("ok", 0.1)
            self.instruments.images_finished(10, 0)
            self.instruments.stage("decode", 0.01)
            self.instruments.waited("fetch", 0.03)
        self.instruments.stream_busy(lanes)
        self.instruments.decode_busy(decode)
        self.now += 1.0
        self.watch.tick()


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.watch.tick()
    return made


def verdict(bench: Bench) -> str:
    found = bench.watch.activity()
    assert found is not None
    return found.verdict


def test_it_judges_what_the_instruments_counted(bench: Bench) -> None:
    bench.in_flight, bench.waiting = 4.0, 2.0
    for _ in range(10):
        bench.second(requests=3, lanes=1.99)
    found = bench.watch.activity()
    assert found is not None
    assert found.verdict == "StreamLimited"
    assert found.load.images == pytest.approx(30)
    assert found.shares["lanes"] == pytest.approx(0.995)
    assert found.parts["wait"] == pytest.approx(0.75)
    assert found.parts["decode"] == pytest.approx(0.25)


def test_the_window_slides(bench: Bench) -> None:
    for _ in range(40):
        bench.second(requests=3, decode=1.98)
    assert verdict(bench) == "DecodeLimited"
    for _ in range(40):
        bench.second()
    found = bench.watch.activity()
    assert found is not None
    assert found.message == "No requests in 30 s."


def test_a_change_of_the_setting_begins_a_new_window(bench: Bench) -> None:
    for _ in range(10):
        bench.second(requests=3, lanes=1.99)
    bench.instruments.setting(Setting(4, 4, 2, "cpu"))
    bench.second(requests=3, lanes=1.99)
    assert bench.watch.activity() is None
    for _ in range(3):
        bench.second(requests=3, lanes=1.99)
    assert verdict(bench) == "ClientLimited"


def test_a_second_look_within_a_second_takes_no_reading(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.second(requests=1)
    bench.second(requests=1)
    monkeypatch.setattr(metrics, "counted", None)  # calling it would fail
    bench.instruments.stage("decode", 1.0)
    bench.now += 0.5
    assert bench.watch.activity() is not None


def test_where_nothing_happens_the_counters_are_not_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.second(requests=9, lanes=1.0)
    monkeypatch.setattr(metrics, "counted", None)
    bench.second()
    bench.second()
    monkeypatch.undo()
    bench.second(requests=9, lanes=1.0)
    found = bench.watch.activity()
    assert found is not None
    assert found.load.requests == pytest.approx(18 / 4)
    assert found.shares["lanes"] == pytest.approx(2.0 / 4 / 2)


def test_a_gpus_memory_is_part_of_the_verdict(bench: Bench) -> None:
    bench.instruments.gpu(lambda: (97, 100), lambda: 0.5)
    for _ in range(3):
        bench.second(requests=5)
    assert verdict(bench) == "MemoryBound"
