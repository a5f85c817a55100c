"""The server's instruments: verbs for what happens, built from the contract's list of metrics.

No metric name is written here; a scrape shows every metric of the contract (tests see to it).
"""

import threading
import time
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embedding_contract import metrics as contract
from embedding_contract.tuning import REJECTION_REASONS, RejectionReason, Setting
from embedding_service.activity import Reading
from embedding_service.readings import counted, still

CPU_WINDOW_SECONDS = 1.0
"""Two scrapes closer than this share one value of the CPU utilisation."""

_LABEL_VALUES: dict[str, tuple[str, ...]] = {
    contract.REQUESTS.name: contract.REQUEST_OUTCOMES,
    contract.IMAGES.name: contract.IMAGE_OUTCOMES,
    contract.CACHE_LOOKUPS.name: contract.CACHE_OUTCOMES,
    contract.STAGE_DURATION.name: contract.STAGES,
    contract.STAGE_WAIT.name: contract.STAGES,
    contract.TUNING_REJECTIONS.name: REJECTION_REASONS,
}
"""Closed label sets are shown from the start, at zero: absent is not zero."""

_AT_SCRAPE = (
    contract.CPU_BUSY,
    contract.LOOP_BUSY,
    contract.GIL_BUSY,
    contract.CPU_UTILIZATION,
    contract.CPU_THROTTLED,
    *contract.GPU_ONLY,
)
"""Computed by `_ScrapeTime` when somebody asks."""


class Instruments:
    """Everything the server counts. Every verb may be called from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # They would be a second series for each counter, and not in the contract.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in contract.ALL:
            if metric not in (*_AT_SCRAPE, *contract.WITH_PARITY_CHECK):
                self._build(metric)
        self._setting = Setting(1, 1, 1, "cpu")
        self._gauge_readers: tuple[Callable[[], float], ...] = (float, float, float)
        self._happened = 0
        """Changes with whatever a reading would show; only that it changes counts."""
        self._at_scrape = _ScrapeTime()
        registry.register(self._at_scrape)

    def _build(self, metric: contract.Metric) -> None:
        """Make one family, with every known label value at zero."""
        family: Counter | Gauge | Histogram
        if metric.kind == "counter":
            family = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            self._counters[metric.name] = family
        elif metric.kind == "gauge":
            family = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            self._gauges[metric.name] = family
        else:
            family = Histogram(
                metric.name, metric.help, metric.labels, buckets=metric.buckets,
                registry=self.registry,
            )  # fmt: skip
            self._histograms[metric.name] = family
        for value in _LABEL_VALUES.get(metric.name, ()):
            family.labels(value)

    # Requests and images

    def request_finished(self, outcome: str, seconds: float) -> None:
        """Count one request; `outcome` is one of the contract's REQUEST_OUTCOMES.

        `seconds` runs from arrival to answer, the wait for a permit included. Only those of `ok`
        are recorded: a refusal takes no time, and the more there were, the better p95 would look.
        """
        _known(outcome, contract.REQUEST_OUTCOMES)
        self._happened += 1
        self._counters[contract.REQUESTS.name].labels(outcome).inc()
        if outcome == "ok":
            self._histograms[contract.REQUEST_DURATION.name].observe(seconds)

    def images_finished(self, ok: int, failed: int) -> None:
        """Count images and texts that were handled."""
        images = self._counters[contract.IMAGES.name]
        images.labels("ok").inc(ok)
        images.labels("failed").inc(failed)

    def stage(self, stage: str, seconds: float) -> None:
        """Record one pass through a stage, its wait excluded."""
        _known(stage, contract.STAGES)
        self._happened += 1
        self._histograms[contract.STAGE_DURATION.name].labels(stage).observe(seconds)

    def waited(self, stage: str, seconds: float) -> None:
        """Record time spent in front of a stage."""
        _known(stage, contract.STAGES)
        self._histograms[contract.STAGE_WAIT.name].labels(stage).observe(seconds)

    def batch(self, images: int) -> None:
        """Count one computed batch."""
        self._counters[contract.BATCHES.name].inc()
        self._histograms[contract.BATCH_SIZE.name].observe(images)

    def lane_replaced(self) -> None:
        """Count one lane that was put in the place of a broken one."""
        self._counters[contract.LANE_REPLACEMENTS.name].inc()

    def image_shared(self) -> None:
        """Count one image that joined the same one in flight."""
        self._counters[contract.SHARED_IMAGES.name].inc()

    def cache_looked(self, *, hit: bool) -> None:
        """Count one image that was looked up in the cache."""
        outcome = contract.CACHE_OUTCOMES[0 if hit else 1]
        self._counters[contract.CACHE_LOOKUPS.name].labels(outcome).inc()

    # Busy seconds

    def stream_busy(self, seconds: float) -> None:
        """Add time that a lane held a batch."""
        self._counters[contract.STREAM_BUSY.name].inc(seconds)

    def decode_busy(self, seconds: float) -> None:
        """Add time that a decode thread worked."""
        self._counters[contract.DECODE_BUSY.name].inc(seconds)

    def copy_busy(self, seconds: float) -> None:
        """Add time of copies to and from a GPU; on a CPU there are none."""
        self._counters[contract.COPY_BUSY.name].inc(seconds)

    def gpu_busy(self, seconds: float) -> None:
        """Add time in which at least one kernel of ours ran."""
        self._counters[contract.GPU_BUSY.name].inc(seconds)

    def gpu_decode_busy(self, seconds: float) -> None:
        """Add time that the GPU's decoder worked."""
        self._counters[contract.GPU_DECODE_BUSY.name].inc(seconds)

    def gil_busy(self, seconds: float) -> None:
        """Add thread CPU time of a section that held the interpreter lock.

        Counted: the event loop's thread (all of it, see `watch_loop`); in a decode thread all but
        the decoders themselves, whose Python is measured at warm-up and added for each image; in a
        lane all but the wait for a GPU or the forward pass on a CPU, where torch lets go of the
        lock inside each operator; reading base64. Not counted: waiting for the lock.
        """
        self._at_scrape.add_gil(seconds)

    def watch_loop(self) -> None:
        """Call in the event loop's thread: its CPU time is the loop's busy time.

        All of it also counts as time with the interpreter lock: the loop runs nothing else.
        Calling it again does no harm.
        """
        self._at_scrape.watch_loop()

    # What is in force

    def setting(self, setting: Setting) -> None:
        """Show the resolved setting in force."""
        self._setting = setting
        self._gauges[contract.NUM_STREAMS.name].set(setting.num_streams)
        self._gauges[contract.SEMAPHORE_SIZE.name].set(setting.semaphore_size)
        self._gauges[contract.DECODE_WORKERS.name].set(setting.decode_workers)
        self._gauges[contract.DECODE_ON_GPU.name].set(setting.decode_device == "gpu")

    def watch_admission(
        self,
        in_flight: Callable[[], float],
        waiting: Callable[[], float],
        permits: Callable[[], float],
    ) -> None:
        """Read at every scrape: requests inside, requests that wait, permits in use."""
        self._gauge_readers = (in_flight, waiting, permits)
        self._gauges[contract.INFLIGHT_REQUESTS.name].set_function(in_flight)
        self._gauges[contract.WAITING_REQUESTS.name].set_function(waiting)
        self._gauges[contract.PERMITS_IN_USE.name].set_function(permits)

    def watch_cache(self, bytes_held: Callable[[], float]) -> None:
        """Read the cache's memory at every scrape."""
        self._gauges[contract.CACHE_BYTES.name].set_function(bytes_held)

    def tuning_generation(self, generation: int) -> None:
        """Show the generation of the tuning file in force."""
        self._gauges[contract.TUNING_GENERATION.name].set(generation)

    def tuning_rejected(self, reason: RejectionReason) -> None:
        """Count one refused tuning file."""
        _known(reason, REJECTION_REASONS)
        self._counters[contract.TUNING_REJECTIONS.name].labels(reason).inc()

    def build_info(self, version: str, model: str, precision: str, device: str) -> None:
        """Show what runs here."""
        self._gauges[contract.BUILD_INFO.name].labels(version, model, precision, device).set(1)

    def cpu(self, limit_cores: float, throttled_seconds: Callable[[], float]) -> None:
        """Set the cores that the container may use and how to read its throttled seconds."""
        self._gauges[contract.CPU_LIMIT.name].set(limit_cores)
        self._at_scrape.watch_cpu(limit_cores, throttled_seconds)

    def gpu(
        self, memory_bytes: Callable[[], tuple[int, int]], utilization: Callable[[], float]
    ) -> None:
        """Show the GPU: `memory_bytes` gives (used, total), `utilization` a ratio 0 to 1."""
        self._at_scrape.watch_gpu(memory_bytes, utilization)

    # Measured at warm-up

    def warmup_lane(self, batch: int, seconds: float) -> None:
        """Show the lane time of one batch of `batch` images."""
        self._gauges[contract.WARMUP_LANE_SECONDS.name].labels(str(batch)).set(seconds)

    def warmup_decode(self, device: str, seconds: float) -> None:
        """Show the decode time of one image on `device` (cpu or gpu)."""
        self._gauges[contract.WARMUP_DECODE_SECONDS.name].labels(device).set(seconds)

    def warmup_bytes(self, lane: float, permit: float) -> None:
        """Show the memory that one more lane and one more permit add."""
        self._gauges[contract.WARMUP_LANE_BYTES.name].set(lane)
        self._gauges[contract.WARMUP_PERMIT_BYTES.name].set(permit)

    def parity(self, cosine_min: float, pixel_difference_max: float) -> None:
        """Show what the self-test at start-up found; before it there is no such metric."""
        for metric in contract.WITH_PARITY_CHECK:
            self._build(metric)
        self._gauges[contract.PARITY_COSINE_MIN.name].set(cosine_min)
        self._gauges[contract.PARITY_PIXEL_DIFFERENCE_MAX.name].set(pixel_difference_max)

    # For the process itself

    def reading(self, now: float, before: Reading | None) -> Reading:
        """Read all counters at `now` (time.monotonic()).

        Where nothing happened since `before` only the clocks are read.
        """
        in_flight, waiting, permits = (read() for read in self._gauge_readers)
        live = Reading(
            at=now,
            setting=self._setting,
            in_flight=in_flight,
            waiting=waiting,
            permits=permits,
            busy=self._at_scrape.clocks(),
            happened=self._happened,
        )
        if before is not None and before.happened == live.happened:
            return still(live, before)
        return counted(live, self._counters, self._histograms)

    def limits(self) -> tuple[float, float | None]:
        """Return the cores of the limit and the share of GPU memory in use, None without a GPU."""
        return self._at_scrape.limits()


class _ScrapeTime(Collector):
    """Values that cost nothing until somebody scrapes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gil_seconds = 0.0
        self._loop_clock: int | None = None
        self._loop_before = 0.0
        self._loop_seconds = 0.0
        self._limit_cores = 1.0
        self._throttled: Callable[[], float] = float
        self._gpu: tuple[Callable[[], tuple[int, int]], Callable[[], float]] | None = None
        self._window = (time.monotonic(), time.process_time())
        self._utilization = 0.0

    def add_gil(self, seconds: float) -> None:
        with self._lock:
            self._gil_seconds += seconds

    def watch_loop(self) -> None:
        clock = time.pthread_getcpuclockid(threading.get_ident())
        if clock == self._loop_clock:
            return
        with self._lock:
            self._loop_clock = clock
            # CPU time that this thread used before it ran the loop (a model load, say) is not ours.
            self._loop_before = self._loop_seconds - time.clock_gettime(clock)

    def watch_cpu(self, limit_cores: float, throttled_seconds: Callable[[], float]) -> None:
        self._limit_cores = limit_cores
        self._throttled = throttled_seconds

    def watch_gpu(
        self, memory_bytes: Callable[[], tuple[int, int]], utilization: Callable[[], float]
    ) -> None:
        self._gpu = (memory_bytes, utilization)

    def clocks(self) -> dict[str, float]:
        """Return seconds since the start: cpu, loop, gil."""
        with self._lock:
            loop = self._read_loop()
            return {"cpu": time.process_time(), "loop": loop, "gil": self._gil_seconds + loop}

    def limits(self) -> tuple[float, float | None]:
        """Return cores of the limit and the share of GPU memory in use, None without a GPU."""
        if self._gpu is None:
            return self._limit_cores, None
        used, total = self._gpu[0]()
        return self._limit_cores, used / max(total, 1)

    def describe(self) -> Iterable[Metric]:
        """Nothing: prometheus_client must not read clocks just to register."""
        return ()

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            loop = self._read_loop()
            gil = self._gil_seconds + loop
            utilization = self._read_utilization()
        yield _counter(contract.CPU_BUSY, time.process_time())
        yield _counter(contract.LOOP_BUSY, loop)
        yield _counter(contract.GIL_BUSY, gil)
        yield _gauge(contract.CPU_UTILIZATION, utilization)
        yield _counter(contract.CPU_THROTTLED, self._throttled())
        if self._gpu is not None:
            used, total = self._gpu[0]()
            yield _gauge(contract.GPU_UTILIZATION, self._gpu[1]())
            yield _gauge(contract.GPU_MEMORY_USED, used)
            yield _gauge(contract.GPU_MEMORY_TOTAL, total)

    def _read_loop(self) -> float:
        if self._loop_clock is not None:
            try:
                now = time.clock_gettime(self._loop_clock)
            except OSError:  # the loop's thread has ended: its last value stays
                self._loop_clock = None
            else:
                self._loop_seconds = self._loop_before + now
        return self._loop_seconds

    def _read_utilization(self) -> float:
        wall, used = time.monotonic(), time.process_time()
        if wall - self._window[0] >= CPU_WINDOW_SECONDS:
            cores = (used - self._window[1]) / (wall - self._window[0])
            self._utilization = cores / self._limit_cores
            self._window = (wall, used)
        return self._utilization


def _counter(metric: contract.Metric, value: float) -> Metric:
    return CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, value=value)


def _gauge(metric: contract.Metric, value: float) -> Metric:
    return GaugeMetricFamily(metric.name, metric.help, value=value)


def _known(value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise ValueError(f"{value!r} is not one of {', '.join(values)}")
