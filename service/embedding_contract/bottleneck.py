"""What limits a server: the classes, their thresholds and their order, as one pure table.

The operator judges windows of Prometheus with it, and each pod judges its own last seconds, so that
both say the same of the same figures. The page docs/concepts/diagnosis.md explains the classes.
Thresholds: tuned on one half of 1400 simulated settings and tested on the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Bottleneck = Literal[
    "NoData", "Unstable", "MemoryBound", "CPUBound", "GPUSaturated", "HostBound", "CopyBound",
    "DecodeLimited", "StreamLimited", "AdmissionLimited", "ClientLimited", "Balanced",
]  # fmt: skip

SHARES: Final = ("memory", "cpu", "gpu", "host", "copy", "decode", "lanes", "permits")
"""Resources by name, the innermost first. A share is busy time over what there is: 1 is full."""

MEMORY_FULL: Final = 0.95
HARDWARE: Final[tuple[tuple[str, Bottleneck, float], ...]] = (
    ("cpu", "CPUBound", 0.93),
    ("gpu", "GPUSaturated", 0.88),
    ("host", "HostBound", 0.85),
    ("copy", "CopyBound", 0.93),
)
POOLS: Final[tuple[tuple[str, Bottleneck, float], ...]] = (
    ("decode", "DecodeLimited", 0.93),
    ("lanes", "StreamLimited", 0.97),
)
PERMITS_FULL: Final = 0.93
CLIENT_BELOW: Final = 0.85
HOLD: Final = 0.03
"""So far below its threshold a class stays."""
WAITING_LEAST: Final = 0.3
"""Requests waiting for a permit, mean, from which on they queue..."""
REJECTED_LEAST: Final = 0.005
"""... or this share of the requests refused."""
TOO_FEW_REQUESTS: Final = 8

THRESHOLDS: Final[Mapping[str, float]] = {
    "memory": MEMORY_FULL,
    **{name: limit for name, _, limit in (*HARDWARE, *POOLS)},
    "permits": PERMITS_FULL,
}
WORDS: Final[Mapping[str, str]] = {
    "memory": "GPU memory", "cpu": "CPU", "gpu": "GPU", "host": "interpreter lock or event loop",
    "copy": "copies to and from the GPU", "decode": "decode pool", "lanes": "streams (lanes)",
    "permits": "permits (semaphore)",
}  # fmt: skip
"""What people call the resources."""

REMEDIES: Final[Mapping[Bottleneck, str]] = {
    "NoData": "Wait for whole windows with the setting in force, or repair the metrics.",
    "Unstable": "Wait: nothing is judged while pods come and go or the load jumps about.",
    "MemoryBound": "Fewer streams, a smaller maxBatch, or a GPU with more memory.",
    "CPUBound": "More CPU (resources.limits.cpu), decodeDevice gpu, smaller images, or replicas. "
    "More streams would only wait for the CPU.",
    "GPUSaturated": "More replicas or a faster GPU: this one is used up.",
    "HostBound": "Larger requests, fewer streams, or replicas: one Python process is used up.",
    "CopyBound": "Larger batches, or replicas: the bus to the GPU is used up.",
    "DecodeLimited": "More decodeWorkers, or decodeDevice gpu.",
    "StreamLimited": "More numStreams: the lanes are always taken while the hardware is not full.",
    "AdmissionLimited": "A larger semaphoreSize: requests wait outside while the inside has room.",
    "ClientLimited": "Nothing here: the clients do not ask for more.",
    "Balanced": "Nothing: no single resource stands out.",
}

Shares = Mapping[str, float | None]
"""A share for each name of SHARES; None or absent where there is no such resource."""


def is_queueing(waiting: float, rejected: float) -> bool:
    """Say whether requests wait for permits. `waiting` is their mean number, `rejected` a share."""
    return waiting >= WAITING_LEAST or rejected >= REJECTED_LEAST


def fullest_inside(shares: Shares) -> float:
    """Return the fullest share inside admission, the memory aside."""
    inside = (shares.get(name) for name in SHARES if name not in {"memory", "permits"})
    return max((share for share in inside if share is not None), default=0.0)


def classify(shares: Shares, *, queueing: bool, last: Bottleneck | None = None) -> Bottleneck:
    """Return the class, the innermost full resource first.

    The class of the `last` time begins a little earlier: a number at its threshold must not make
    the verdict swing to and fro.
    """
    if (shares.get("memory") or 0.0) >= MEMORY_FULL:
        return "MemoryBound"
    # The fullest resource of a layer, not the one furthest above its own threshold.
    for layer in (HARDWARE, POOLS):
        full = [
            (shares.get(name) or 0.0, verdict)
            for name, verdict, limit in layer
            if (shares.get(name) or 0.0) >= limit - (HOLD if verdict == last else 0.0)
        ]
        if full:
            return max(full)[1]
    if (shares.get("permits") or 0.0) >= PERMITS_FULL and queueing:
        return "AdmissionLimited"
    if not queueing and fullest_inside(shares) < CLIENT_BELOW:
        return "ClientLimited"
    return "Balanced"


@dataclass(frozen=True, slots=True)
class Load:
    """What a window of `seconds` carried: `images` and `requests` a second, `waiting` requests
    (mean), and the `permits` in force.
    """  # noqa: D205

    seconds: float
    images: float
    requests: float
    waiting: float
    permits: float


def explain(verdict: Bottleneck, shares: Shares, load: Load) -> str:
    """Return the verdict as one sentence with its numbers."""
    if load.requests <= 0:
        return f"No requests in {load.seconds:.0f} s."
    carried = (
        f"{load.images:.4g} images/s a pod over {load.seconds:.0f} s, "
        f"{load.waiting:.3g} requests waiting"
    )
    names = {verdict: name for name, verdict, _ in (*HARDWARE, *POOLS)}
    if verdict in names:
        name = names[verdict]
        # Busy time is counted when the work ends, so a short window may see more than there was.
        share = min(100.0, 100 * (shares.get(name) or 0.0))
        return f"The {WORDS[name]} is {share:.0f} % busy: {carried}."
    fullest = f"the fullest {100 * fullest_inside(shares):.0f} %"
    sentences: dict[Bottleneck, str] = {
        "MemoryBound": f"{100 * (shares.get('memory') or 0.0):.0f} % of the GPU memory is in use",
        "AdmissionLimited": f"All {load.permits:.0f} permits are taken and requests wait, while no "
        f"resource inside is full ({fullest})",
        "ClientLimited": f"No request waits and every resource has room ({fullest})",
        "Unstable": "The throughput differs too much between the windows",
        "NoData": f"Too few requests to judge: {load.requests * load.seconds:.0f} requests; "
        f"{carried}.",
    }
    if verdict == "NoData":
        return sentences[verdict]
    return f"{sentences.get(verdict, f'No single resource is full ({fullest})')}: {carried}."
