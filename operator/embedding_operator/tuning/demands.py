"""Service demands: busy seconds of every resource for one image.

D_i = U_i * m_i / X, the utilisation law (Denning & Buzen, The Operational Analysis of Queueing
Network Models, 1978). Demands are 5 to 20 times steadier than throughput or latency when the load
moves, and their ratios decide where the bounds cross.
"""

from dataclasses import dataclass
from typing import Final

from embedding_operator.tuning.point import Point
from embedding_operator.tuning.sample import Sample

FIXED_SHARE: Final = 0.3
"""Share of a lane's time that does not grow with the batch, where warm-up did not measure it."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What one image costs at `at`, seconds an image unless said otherwise.

    `cpu` core seconds; `host` with the interpreter lock or on the loop; `gpu` with a kernel
    running; `copy`; `decode` thread seconds; `gpu_decode` on the GPU's decoder, None where there
    is none or it was not measured; `cpu_decode` the warm-up's figure for the CPU.
    `hold` is the lane time of one batch of `batch` images, `fixed + slope * batch` its shape alone
    on the machine. `hardware` is the fullest share of CPU, GPU and host. `fetch` and `serialise`
    are seconds of one pass.
    """

    at: Point
    cores: float
    throughput: float
    images_per_request: float
    batch: float
    max_batch: int
    cpu: float
    host: float
    gpu: float
    copy: float
    decode: float
    cpu_decode: float
    gpu_decode: float | None
    hold: float
    fixed: float
    slope: float
    fetch: float
    serialise: float
    has_gpu: bool
    hardware: float
    permits_bind: bool


def demands(sample: Sample, at: Point, max_batch: int) -> Demands | None:
    """Work out the demands from measured windows; None while no image flows."""
    images, batches = sample.images, sample.of("batches")
    if images <= 0 or batches <= 0:
        return None
    hold = sample.of("stream_busy") / batches
    fixed, slope = _lane_shape(sample, hold)
    decode_rates = sample.by_label("warmup_decode_seconds")
    decode = sample.of("decode_busy") / images
    permits = sample.share("permits") or 0.0
    return Demands(
        at=at,
        cores=sample.cores,
        throughput=images,
        images_per_request=sample.images_per_request,
        batch=sample.batch,
        max_batch=max(max_batch, 1),
        cpu=sample.of("cpu_busy") / images,
        host=sample.host / images,
        gpu=sample.of("gpu_busy") / images,
        copy=sample.of("copy_busy") / images,
        decode=decode,
        cpu_decode=decode_rates.get("cpu") or decode,
        gpu_decode=decode_rates.get("gpu") or None,
        hold=hold,
        fixed=fixed,
        slope=slope,
        fetch=_pass(sample, "fetch"),
        serialise=_pass(sample, "serialise"),
        has_gpu=sample.memory is not None,
        hardware=max(sample.share(name) or 0.0 for name in ("cpu", "gpu", "host")),
        permits_bind=permits >= 0.93 and sample.queueing,
    )


def _pass(sample: Sample, stage: str) -> float:
    """Mean seconds of one pass through a stage."""
    passes = sample.get("stage_passes", stage) or 0.0
    return (sample.get("stage_seconds", stage) or 0.0) / passes if passes > 0 else 0.0


def _lane_shape(sample: Sample, hold: float) -> tuple[float, float]:
    """Fixed seconds and seconds an image of one batch, h(b) = h0 + h1 b, alone on the machine."""
    measured = sorted(
        (float(batch), seconds)
        for batch, seconds in sample.by_label("warmup_lane_seconds").items()
        if seconds > 0
    )
    if len(measured) < 2:
        return FIXED_SHARE * hold, (1 - FIXED_SHARE) * hold / sample.batch
    (small, short), (large, long) = measured[0], measured[-1]
    slope = max((long - short) / (large - small), 0.02 * short / small)
    return max(short - slope * small, 0.02 * short), slope
