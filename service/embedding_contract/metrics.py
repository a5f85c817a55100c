"""The server's metrics: names, kinds, units, labels. They are written here and nowhere else."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

SECONDS_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

STAGES = ("fetch", "decode", "queue", "h2d", "compute", "d2h", "serialise")
REQUEST_OUTCOMES = ("ok", "rejected", "client_fault", "server_fault", "cancelled", "expired")
IMAGE_OUTCOMES = ("ok", "failed")
CACHE_OUTCOMES = ("hit", "miss")


@dataclass(frozen=True, slots=True)
class Metric:
    """One time series family.

    `name` is the full name as Prometheus shows it, `_total` included for counters.
    `labels` are label names; their values are closed sets, never ids.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, unit: str, text: str, *labels: str) -> Metric:
    return Metric(f"embedding_{name}_total", "counter", unit, text, labels)


def _gauge(name: str, unit: str, text: str, *labels: str) -> Metric:
    return Metric(f"embedding_{name}", "gauge", unit, text, labels)


def _seconds(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"embedding_{name}", "histogram", "seconds", text, labels, SECONDS_BUCKETS)


REQUESTS = _counter("requests", "requests", "Requests answered, by outcome.", "outcome")
IMAGES = _counter("images", "images", "Images and texts handled, by outcome.", "outcome")
REQUEST_DURATION = _seconds(
    "request_duration_seconds",
    "From arrival to answer, the wait for a permit included; only requests answered ok.",
)
STAGE_DURATION = _seconds(
    "stage_duration_seconds",
    "Service time of one pass through a stage, its wait excluded.",
    "stage",
)
STAGE_WAIT = _seconds("stage_wait_seconds", "Time spent waiting in front of a stage.", "stage")
INFLIGHT_REQUESTS = _gauge("inflight_requests", "requests", "Requests that hold a permit.")
WAITING_REQUESTS = _gauge("waiting_requests", "requests", "Requests that wait for a permit.")
PERMITS_IN_USE = _gauge(
    "permits_in_use",
    "permits",
    "Permits held, or kept free for live requests while bulk ones wait.",
)
CACHE_LOOKUPS = _counter(
    "cache_lookups", "images", "Images looked up in the cache of vectors, by outcome.", "outcome"
)
CACHE_BYTES = _gauge("cache_bytes", "bytes", "Memory that the cache of vectors uses.")
SHARED_IMAGES = _counter(
    "shared_images", "images", "Images not computed: the same one was in flight."
)
BATCH_SIZE = Metric(
    "embedding_batch_size", "histogram", "images", "Images in one batch.", (), BATCH_BUCKETS
)
BATCHES = _counter("batches", "batches", "Batches computed by all lanes.")
LANE_REPLACEMENTS = _counter(
    "lane_replacements", "lanes", "Lanes put in the place of one that broke."
)

NUM_STREAMS = _gauge("num_streams", "streams", "Lanes in force.")
SEMAPHORE_SIZE = _gauge("semaphore_size", "permits", "Permits in force.")
DECODE_WORKERS = _gauge("decode_workers", "threads", "Decode threads in force.")
DECODE_ON_GPU = _gauge("decode_on_gpu", "bool", "1 when JPEGs are decoded on the GPU.")

CPU_BUSY = _counter("cpu_busy_seconds", "seconds", "CPU time of the server process.")
STREAM_BUSY = _counter("stream_busy_seconds", "seconds", "Time lanes held a batch, all lanes.")
DECODE_BUSY = _counter("decode_busy_seconds", "seconds", "Time decode threads worked, all threads.")
LOOP_BUSY = _counter("loop_busy_seconds", "seconds", "Time the event loop ran callbacks.")
GIL_BUSY = _counter(
    "gil_busy_seconds", "seconds", "Thread CPU time of the sections that hold the interpreter lock."
)
COPY_BUSY = _counter("copy_busy_seconds", "seconds", "Time of copies to and from the device.")
GPU_DECODE_BUSY = _counter("gpu_decode_busy_seconds", "seconds", "Time the GPU decoder worked.")
GPU_BUSY = _counter("gpu_busy_seconds", "seconds", "Time at least one kernel of ours ran.")

CPU_LIMIT = _gauge("cpu_limit_cores", "cores", "Cores that the container may use.")
CPU_UTILIZATION = _gauge("cpu_utilization_ratio", "ratio", "CPU use of the container's limit.")
CPU_THROTTLED = _counter("cpu_throttled_seconds", "seconds", "Time the kernel held the CPU back.")
GPU_UTILIZATION = _gauge("gpu_utilization_ratio", "ratio", "Share of time some kernel ran.")
GPU_MEMORY_USED = _gauge("gpu_memory_used_bytes", "bytes", "GPU memory in use on the device.")
GPU_MEMORY_TOTAL = _gauge("gpu_memory_total_bytes", "bytes", "GPU memory of the device.")

WARMUP_LANE_SECONDS = _gauge(
    "warmup_lane_seconds", "seconds", "Lane time of one batch, measured at warm-up.", "batch"
)
WARMUP_DECODE_SECONDS = _gauge(
    "warmup_decode_seconds", "seconds", "Decode time of one image, at warm-up.", "device"
)
WARMUP_LANE_BYTES = _gauge("warmup_lane_bytes", "bytes", "Device memory that one lane adds.")
WARMUP_PERMIT_BYTES = _gauge("warmup_permit_bytes", "bytes", "Host memory that one permit adds.")
PARITY_COSINE_MIN = _gauge(
    "parity_cosine_min", "cosine", "Worst cosine with the reference, at start-up."
)
PARITY_PIXEL_DIFFERENCE_MAX = _gauge(
    "parity_pixel_difference_max",
    "levels",
    "Worst mean pixel difference to the reference, of 255, at start-up.",
)

TUNING_GENERATION = _gauge("tuning_generation", "generation", "Tuning generation in force.")
TUNING_REJECTIONS = _counter(
    "tuning_rejections", "files", "Tuning files refused, by reason.", "reason"
)
BUILD_INFO = _gauge(
    "build_info", "bool", "Always 1; what runs here.", "version", "model", "precision", "device"
)

ALL: tuple[Metric, ...] = tuple(value for value in globals().values() if isinstance(value, Metric))
"""Every metric of the contract, in the order written above."""

GPU_ONLY = (GPU_UTILIZATION, GPU_MEMORY_USED, GPU_MEMORY_TOTAL)
"""Present only where the server runs on a GPU: absent is not zero."""

WITH_PARITY_CHECK = (PARITY_COSINE_MIN, PARITY_PIXEL_DIFFERENCE_MAX)
"""Present once the self-test ran: a cosine of 0 would be a lie."""
