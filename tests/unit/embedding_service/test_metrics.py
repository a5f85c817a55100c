"""Every metric of the contract appears in a scrape, by name, kind and labels; nothing else does."""

import threading
import time

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from embedding_contract import metrics as contract
from embedding_contract.tuning import Setting
from embedding_service.metrics import Instruments


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def instruments(registry: CollectorRegistry) -> Instruments:
    return Instruments(registry)


def scrape(registry: CollectorRegistry) -> dict[str, tuple[str, set[tuple[str, ...]]]]:
    """Family name as Prometheus shows it -> (kind, sets of label names)."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in family.samples}
        found[name] = (family.type, labels)
    return found


def show_everything(instruments: Instruments) -> None:
    instruments.warmup_lane(1, 0.5)
    instruments.warmup_decode("cpu", 0.5)
    instruments.build_info("1.0", "model", "fp32", "cpu")
    instruments.gpu(lambda: (1, 2), lambda: 0.5)
    instruments.parity(0.9999, 0.2)


def test_every_metric_of_the_contract_appears_with_its_labels_and_nothing_else(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    show_everything(instruments)
    found = scrape(registry)
    assert set(found) == {metric.name for metric in contract.ALL}
    for metric in contract.ALL:
        assert found[metric.name] == (metric.kind, {tuple(sorted(metric.labels))}), metric.name


def test_on_a_cpu_the_gpus_metrics_are_absent_not_zero(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    assert not {metric.name for metric in contract.GPU_ONLY} & set(scrape(registry))


def test_before_the_self_test_its_metrics_are_absent_not_zero(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    assert not {metric.name for metric in contract.WITH_PARITY_CHECK} & set(scrape(registry))
    instruments.parity(0.9995, 0.25)
    assert registry.get_sample_value("embedding_parity_cosine_min") == 0.9995
    assert registry.get_sample_value("embedding_parity_pixel_difference_max") == 0.25


def test_closed_label_sets_are_there_from_the_start(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    for outcome in contract.REQUEST_OUTCOMES:
        assert registry.get_sample_value("embedding_requests_total", {"outcome": outcome}) == 0
    for stage in contract.STAGES:
        labels = {"stage": stage}
        assert registry.get_sample_value("embedding_stage_duration_seconds_count", labels) == 0


def test_a_word_that_is_not_in_the_contract_is_refused(instruments: Instruments) -> None:
    with pytest.raises(ValueError, match="'fine' is not one of"):
        instruments.request_finished("fine", 1.0)
    with pytest.raises(ValueError, match="'encode' is not one of"):
        instruments.stage("encode", 1.0)


def test_requests_images_and_batches_are_counted(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    instruments.request_finished("ok", 0.25)
    instruments.images_finished(3, 1)
    instruments.batch(4)
    value = registry.get_sample_value
    assert value("embedding_requests_total", {"outcome": "ok"}) == 1
    assert value("embedding_request_duration_seconds_sum") == 0.25
    assert value("embedding_images_total", {"outcome": "ok"}) == 3
    assert value("embedding_images_total", {"outcome": "failed"}) == 1
    assert value("embedding_batches_total") == 1
    assert value("embedding_batch_size_sum") == 4


@pytest.mark.parametrize("outcome", contract.REQUEST_OUTCOMES[1:])
def test_only_good_answers_count_in_the_duration(
    registry: CollectorRegistry, instruments: Instruments, outcome: str
) -> None:
    instruments.request_finished("ok", 2.0)
    instruments.request_finished(outcome, 0.001)
    assert registry.get_sample_value("embedding_requests_total", {"outcome": outcome}) == 1
    assert registry.get_sample_value("embedding_request_duration_seconds_count") == 1


def test_what_is_in_force_is_shown(registry: CollectorRegistry, instruments: Instruments) -> None:
    instruments.setting(Setting(3, 8, 5, "gpu"))
    instruments.watch_admission(lambda: 2, lambda: 7, lambda: 1.5)
    instruments.tuning_generation(12)
    instruments.tuning_rejected("stale")
    value = registry.get_sample_value
    assert value("embedding_num_streams") == 3
    assert value("embedding_semaphore_size") == 8
    assert value("embedding_decode_workers") == 5
    assert value("embedding_decode_on_gpu") == 1
    assert value("embedding_inflight_requests") == 2
    assert value("embedding_waiting_requests") == 7
    assert value("embedding_permits_in_use") == 1.5
    assert value("embedding_tuning_generation") == 12
    assert value("embedding_tuning_rejections_total", {"reason": "stale"}) == 1


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_the_loops_thread_is_clocked_from_the_moment_it_is_watched(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    burn(0.02)
    instruments.watch_loop()
    first = registry.get_sample_value("embedding_loop_busy_seconds_total")
    assert first is not None
    assert first < 0.02
    burn(0.03)
    instruments.watch_loop()
    instruments.gil_busy(5.0)
    busy = registry.get_sample_value("embedding_loop_busy_seconds_total")
    locked = registry.get_sample_value("embedding_gil_busy_seconds_total")
    assert busy is not None
    assert locked is not None
    assert 0.03 <= busy < 2
    assert 5.0 <= locked - busy < 5.5


def test_a_loop_whose_thread_has_ended_keeps_its_last_value(
    registry: CollectorRegistry, instruments: Instruments
) -> None:
    values: list[float | None] = []

    def loop() -> None:
        instruments.watch_loop()
        burn(0.01)
        values.append(registry.get_sample_value("embedding_loop_busy_seconds_total"))

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join(10)
    after = registry.get_sample_value("embedding_loop_busy_seconds_total")
    assert after is not None
    assert values[0] is not None
    assert after == pytest.approx(values[0], abs=0.05)
    assert after >= 0.01


def test_the_cpu_share_is_of_the_containers_limit(
    registry: CollectorRegistry, instruments: Instruments, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, used = time.monotonic(), time.process_time()
    instruments.cpu(4.0, lambda: 1.5)
    registry.get_sample_value("embedding_cpu_utilization_ratio")
    monkeypatch.setattr(time, "monotonic", lambda: wall + 100.0)
    monkeypatch.setattr(time, "process_time", lambda: used + 200.0)
    ratio = registry.get_sample_value("embedding_cpu_utilization_ratio")
    assert ratio == pytest.approx(0.5, abs=0.05)
    assert registry.get_sample_value("embedding_cpu_throttled_seconds_total") == 1.5
    assert registry.get_sample_value("embedding_cpu_limit_cores") == 4
