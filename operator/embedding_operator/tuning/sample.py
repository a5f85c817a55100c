"""What one window says about one pod, or about several as their mean: figures and shares.

Every figure is per pod. A share is busy time over what there is: 1 means full.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedding_contract.bottleneck import SHARES, fullest_inside, is_queueing

Key = tuple[str, str]
"""Query name and label value ("" where the query keeps no label)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures by query name and label value. All are finite."""

    figures: Mapping[Key, float]

    def get(self, name: str, label: str = "") -> float | None:
        """The figure, or None where the pod has no such thing."""
        return self.figures.get((name, label))

    def of(self, name: str, label: str = "") -> float:
        """A figure whose presence the window has checked.

        Raises:
            KeyError: the window let an incomplete sample pass.
        """
        return self.figures[name, label]

    def by_label(self, name: str) -> dict[str, float]:
        """All values of a labelled figure."""
        return {label: value for (key, label), value in self.figures.items() if key == name}

    # The load

    @property
    def images(self) -> float:
        """Images and texts finished a second."""
        return sum(self.by_label("images").values())

    @property
    def requests(self) -> float:
        """Requests finished a second, the refused and the late ones excluded."""
        return sum(self.by_label("requests").values()) - self._unserved

    @property
    def rejected(self) -> float:
        """Share of the requests that were refused, or dropped because they came too late."""
        refused = self._unserved
        return refused / (self.requests + refused) if refused > 0 else 0.0

    @property
    def _unserved(self) -> float:
        """Requests a second for which there was no room in time."""
        outcomes = self.by_label("requests")
        return outcomes.get("rejected", 0.0) + outcomes.get("expired", 0.0)

    @property
    def images_per_request(self) -> float:
        """Images in one request, at least 1."""
        return max(1.0, self.images / self.requests) if self.requests > 0 else 1.0

    @property
    def arrivals(self) -> float:
        """Images a second that wanted in, the refused ones included."""
        return self.images / (1 - self.rejected) if self.rejected < 1 else 0.0

    @property
    def batch(self) -> float:
        """Images in one batch, at least 1."""
        batches = self.of("batches")
        return max(1.0, self.of("batch_images") / batches) if batches > 0 else 1.0

    @property
    def p95_seconds(self) -> float:
        """The client's 95th percentile of the time of requests answered ok, their wait included.

        A window without such a request has 0.
        """
        return quantile(0.95, self.by_label("request_buckets"))

    @property
    def waiting(self) -> float:
        """Requests that waited for a permit, mean."""
        return self.of("waiting")

    @property
    def queueing(self) -> bool:
        """Whether requests waited for a permit or were refused."""
        return is_queueing(self.waiting, self.rejected)

    # The setting in force

    @property
    def num_streams(self) -> float:
        """Lanes."""
        return self.of("num_streams_most")

    @property
    def semaphore_size(self) -> float:
        """Permits."""
        return self.of("semaphore_size_most")

    @property
    def decode_workers(self) -> float:
        """Decode threads, resolved by the server."""
        return max(1.0, self.of("decode_workers_most"))

    @property
    def decodes_on_gpu(self) -> bool:
        """Whether JPEGs are decoded on the GPU."""
        return self.of("decode_on_gpu") >= 0.5

    # How full everything is

    @property
    def cores(self) -> float:
        """Cores that the container may use."""
        return max(0.01, self.of("cpu_limit"))

    @property
    def memory(self) -> float | None:
        """Share of the GPU's memory in use; None without a GPU."""
        used, total = self.get("gpu_memory_used"), self.get("gpu_memory_total")
        return used / total if used is not None and total else None

    @property
    def host(self) -> float:
        """Share of the interpreter lock or of the event loop, the fuller one."""
        return max(self.of("gil_busy"), self.of("loop_busy"))

    @property
    def decode(self) -> float:
        """Share of the decode pool, or of the GPU's decoder where that decodes."""
        if self.decodes_on_gpu:
            return self.of("gpu_decode_busy")
        return self.of("decode_busy") / self.decode_workers

    def share(self, name: str) -> float | None:
        """One of SHARES by name, None where the pod has no such resource."""
        match name:
            case "memory":
                return self.memory
            case "cpu":
                return self.of("cpu_busy") / self.cores
            case "gpu":
                return self.of("gpu_busy")
            case "host":
                return self.host
            case "copy":
                return self.of("copy_busy")
            case "decode":
                return self.decode
            case "lanes":
                return self.of("stream_busy") / max(1.0, self.num_streams)
            case _:
                return self.of("permits") / max(1.0, self.semaphore_size)

    @property
    def fullest(self) -> float:
        """The fullest of the resources inside admission."""
        return fullest_inside({name: self.share(name) for name in SHARES})

    @property
    def saturated(self) -> bool:
        """Whether more load would not give more images: only then throughput is capacity."""
        full = (self.share("permits") or 0.0) >= 0.93
        return self.queueing or full or self.fullest >= 0.85


def mean(samples: Iterable[Sample]) -> Sample:
    """The mean figure by figure, over those that every sample has.

    Raises:
        ValueError: there is no sample.
    """
    several = tuple(samples)
    if not several:
        raise ValueError("the mean of no samples")
    keys = set.intersection(*(set(sample.figures) for sample in several))
    return Sample(
        {key: sum(sample.figures[key] for sample in several) / len(several) for key in sorted(keys)}
    )


def quantile(share: float, buckets: Mapping[str, float]) -> float:
    """A quantile from cumulative buckets by upper edge, linear inside a bucket.

    As Prometheus's histogram_quantile; above the last finite edge the answer is that edge.
    Without any observation it is 0.
    """
    edges = sorted((float(edge), count) for edge, count in buckets.items())
    if not edges or edges[-1][1] <= 0:
        return 0.0
    rank, low, below = share * edges[-1][1], 0.0, 0.0
    for edge, count in edges:
        if count >= rank:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (rank - below) / max(count - below, 1e-12)
        low, below = edge, count
    return low
