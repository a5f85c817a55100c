"""Samples and windows made by hand: say how full everything is, get what the tuner would see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from embedding_contract.tuning import Setting
from embedding_operator.tuning.queries import QUERIES, Series
from embedding_operator.tuning.sample import Key, Sample
from embedding_operator.tuning.window import Window


@dataclass(frozen=True)
class Figures:
    """One pod in one window. Shares are of what there is; the GPU's are None without one."""

    images: float = 100.0
    images_per_request: float = 10.0
    rejected: float = 0.0
    batch: float = 8.0
    p95_seconds: float = 0.5
    streams: int = 2
    permits: int = 8
    workers: int = 4
    cores: float = 4.0
    on_gpu: bool = False
    cpu: float = 0.5
    gpu: float = 0.0
    host: float = 0.2
    copy: float = 0.0
    decode: float = 0.3
    lanes: float = 0.5
    inflight: float = 0.5
    waiting: float = 0.0
    memory: float | None = None
    lane_seconds: Mapping[int, float] | None = None
    gpu_decode_seconds: float | None = None
    lane_bytes: float = 1e9
    permit_bytes: float = 1e6

    def but(self, **changes: object) -> "Figures":
        """The same with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def running(self, setting: Setting) -> "Figures":
        """The same pod at this setting."""
        return self.but(
            streams=setting.num_streams,
            permits=setting.semaphore_size,
            workers=setting.decode_workers or self.workers,
        )

    @property
    def sample(self) -> Sample:
        """As the tuner sees it."""
        return Sample(self.figures())

    def figures(self) -> dict[Key, float]:
        """By query name and label."""
        requests = self.images / self.images_per_request
        plain = {
            "samples": 3.0,
            "request_seconds": requests * self.p95_seconds / 2,
            "batches": self.images / self.batch,
            "batch_images": self.images,
            "permits": self.inflight * self.permits,
            "waiting": self.waiting,
            "cpu_busy": self.cpu * self.cores,
            "stream_busy": self.lanes * self.streams,
            "decode_busy": 0.0 if self.on_gpu else self.decode * self.workers,
            "gpu_decode_busy": self.decode if self.on_gpu else 0.0,
            "loop_busy": self.host / 2,
            "gil_busy": self.host,
            "copy_busy": self.copy,
            "gpu_busy": self.gpu,
            "cpu_throttled": 0.0,
            "cpu_limit": self.cores,
            "decode_on_gpu": float(self.on_gpu),
            "warmup_lane_bytes": self.lane_bytes,
            "warmup_permit_bytes": self.permit_bytes,
        }
        for name, value in (
            ("num_streams", self.streams),
            ("semaphore_size", self.permits),
            ("decode_workers", self.workers),
        ):
            plain[f"{name}_least"] = plain[f"{name}_most"] = float(value)
        if self.memory is not None:
            plain |= {"gpu_memory_used": self.memory * 16e9, "gpu_memory_total": 16e9}
        return {(name, ""): value for name, value in plain.items()} | self._labelled(requests)

    def _labelled(self, requests: float) -> dict[Key, float]:
        refused = requests * self.rejected / max(1e-9, 1 - self.rejected)
        figures = {
            ("requests", "ok"): requests,
            ("requests", "rejected"): refused,
            ("images", "ok"): self.images,
            ("images", "failed"): 0.0,
            ("stage_seconds", "serialise"): 0.001 * requests,
            ("stage_passes", "serialise"): requests,
            # 0.95 of the requests lie below p95, all below twice p95.
            ("request_buckets", str(self.p95_seconds)): 0.95 * requests,
            ("request_buckets", str(2 * self.p95_seconds)): requests,
            ("request_buckets", "+Inf"): requests,
            ("warmup_decode_seconds", "cpu"): 0.005,
        }
        for batch, seconds in (self.lane_seconds or {}).items():
            figures["warmup_lane_seconds", str(batch)] = seconds
        if self.gpu_decode_seconds is not None:
            figures["warmup_decode_seconds", "gpu"] = self.gpu_decode_seconds
        return figures


def windows(
    pods: Mapping[str, Figures], count: int, *, start: float = 0.0, seconds: float = 30.0
) -> tuple[Window, ...]:
    """Equal windows in a row."""
    return tuple(
        Window(
            start + index * seconds,
            start + (index + 1) * seconds,
            {pod: figures.sample for pod, figures in pods.items()},
        )
        for index in range(count)
    )


def answers(pods: Mapping[str, Figures], ends: Sequence[float]) -> dict[str, list[Series]]:
    """What Prometheus would answer for these pods in windows that end at `ends`."""
    labels = {query.name: query.label for query in QUERIES}
    result: dict[str, list[Series]] = {query.name: [] for query in QUERIES}
    for pod, figures in pods.items():
        for (name, label), value in figures.figures().items():
            kept = {"pod": pod} | ({labels[name]: label} if labels[name] else {})
            result[name].append(Series(kept, tuple((end, value) for end in ends)))
    return result
