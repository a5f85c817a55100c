"""What this process did in its last seconds: busy shares, where an image's time goes, a verdict.

Pure. A `Reading` is all counters at one moment; two of them are a window. Classes, thresholds and
words are the contract's table, so a pod says of itself what the operator says of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from embedding_contract import bottleneck
from embedding_contract.bottleneck import Bottleneck, Load
from embedding_contract.tuning import Setting

WINDOW_SECONDS: Final = 30.0
LEAST_SECONDS: Final = 2.0
"""A shorter window says nothing: work is counted when it ends."""

PARTS: Final = ("wait", "fetch", "decode", "queue", "h2d", "compute", "d2h", "serialise")
"""The way of one image, in order. wait: for a permit. queue: for a decode thread and for a lane."""

Passes = tuple[float, float]
"""Seconds and how many passes took them, both since the start."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at one moment, since the start.

    `at` is time.monotonic(). `requests` are the answered ones without the `rejected` (refused or
    too late). `in_flight`, `waiting` and `permits` in use are of this moment. `busy` is seconds by
    resource: cpu, gpu, copy, gil, loop, decode, gpu_decode, lanes. `stages` and `waits` are passes
    by the contract's stage names. Two readings with the same `happened` differ in clocks and gauges
    alone.
    """

    at: float
    setting: Setting
    requests: float = 0.0
    rejected: float = 0.0
    images: float = 0.0
    in_flight: float = 0.0
    waiting: float = 0.0
    permits: float = 0.0
    busy: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[str, Passes] = field(default_factory=dict)
    waits: Mapping[str, Passes] = field(default_factory=dict)
    happened: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """What the counters do not tell: cores of the limit, and the GPU's memory in use as a share,
    None without a GPU.
    """  # noqa: D205

    cores: float
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One window.

    `shares` are busy time over what there is, 1 means full; None where there is no such resource.
    `parts` are the shares of one image's time by PARTS, 1 together; empty without images.
    """

    load: Load
    rejected: float
    in_flight: float
    shares: Mapping[str, float | None]
    parts: Mapping[str, float]
    verdict: Bottleneck
    message: str

    def to_mapping(self) -> dict[str, object]:
        """Return the JSON document; numbers keep four digits after the point."""
        load = self.load
        return {
            "seconds": round(load.seconds, 1),
            "requests_per_second": round(load.requests, 4),
            "images_per_second": round(load.images, 4),
            "rejected": round(self.rejected, 4),
            "in_flight": round(self.in_flight, 4),
            "waiting": round(load.waiting, 4),
            "shares": {
                name: None if share is None else round(share, 4)
                for name, share in self.shares.items()
            },
            "parts": {name: round(share, 4) for name, share in self.parts.items()},
            "bottleneck": self.verdict,
            "message": self.message,
            "remedy": bottleneck.REMEDIES[self.verdict],
        }


def recent(readings: Sequence[Reading], window_seconds: float = WINDOW_SECONDS) -> list[Reading]:
    """Return the readings of the last window that ran the setting of the newest one, in order."""
    if not readings:
        return []
    newest = readings[-1]
    found: list[Reading] = []
    for reading in reversed(readings):
        if reading.setting != newest.setting or newest.at - reading.at > window_seconds:
            break
        found.append(reading)
    return found[::-1]


def judge(
    readings: Sequence[Reading], device: Device, last: Bottleneck | None = None
) -> Activity | None:
    """Judge the window from the first to the last reading; None while it is too short.

    All readings must be of one setting (see `recent`). `last` is the class of the time before: at
    its threshold it stays.
    """
    if not readings or readings[-1].at - readings[0].at < LEAST_SECONDS:
        return None
    first, newest = readings[0], readings[-1]
    load = _load(readings)
    requests = newest.requests - first.requests
    refused = newest.rejected - first.rejected
    rejected = refused / (requests + refused) if refused > 0 else 0.0
    in_flight = _mean([reading.in_flight for reading in readings[1:]])
    shares = _shares(first, newest, device)
    permits = _mean([reading.permits for reading in readings[1:]])
    shares["permits"] = permits / max(1, newest.setting.semaphore_size)
    queueing = bottleneck.is_queueing(load.waiting, rejected)
    verdict = bottleneck.classify(shares, queueing=queueing, last=last)
    if 0 < requests < bottleneck.TOO_FEW_REQUESTS:
        verdict = "NoData"
    return Activity(
        load=load,
        rejected=rejected,
        in_flight=in_flight,
        shares=shares,
        parts=_parts(first, newest),
        verdict=verdict,
        message=bottleneck.explain(verdict, shares, load),
    )


def _load(readings: Sequence[Reading]) -> Load:
    first, newest = readings[0], readings[-1]
    seconds = newest.at - first.at
    return Load(
        seconds=seconds,
        images=(newest.images - first.images) / seconds,
        requests=(newest.requests - first.requests) / seconds,
        waiting=_mean([reading.waiting for reading in readings[1:]]),
        permits=newest.setting.semaphore_size,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _shares(first: Reading, newest: Reading, device: Device) -> dict[str, float | None]:
    seconds, setting = newest.at - first.at, newest.setting

    def busy(name: str, servers: float = 1.0) -> float:
        spent = newest.busy.get(name, 0.0) - first.busy.get(name, 0.0)
        return max(0.0, spent) / seconds / max(servers, 0.01)

    on_gpu = device.memory is not None
    if setting.decode_device == "gpu":
        decode = busy("gpu_decode")
    else:
        decode = busy("decode", setting.decode_workers)
    interpreter, loop = busy("gil"), busy("loop")
    return {
        "memory": device.memory,
        "cpu": busy("cpu", device.cores),
        "gpu": busy("gpu") if on_gpu else None,
        "host": max(interpreter, loop),
        "interpreter_lock": interpreter,
        "loop": loop,
        "copy": busy("copy") if on_gpu else None,
        "decode": decode,
        "lanes": busy("lanes", setting.num_streams),
    }


def _parts(first: Reading, newest: Reading) -> dict[str, float]:
    """Where the time of one image goes: the mean seconds of a pass through each part.

    A batch's compute time is the time of each image in it, so passes are compared, not sums.
    """

    def stage(name: str) -> float:
        return _pass(first.stages.get(name), newest.stages.get(name))

    def wait(name: str) -> float:
        return _pass(first.waits.get(name), newest.waits.get(name))

    seconds = {name: stage(name) for name in PARTS if name not in {"wait", "queue"}}
    seconds |= {"wait": wait("fetch"), "queue": wait("decode") + wait("queue")}
    whole = sum(seconds.values())
    return {name: seconds[name] / whole for name in PARTS} if whole > 0 else {}


def _pass(before: Passes | None, after: Passes | None) -> float:
    old, new = before or (0.0, 0.0), after or (0.0, 0.0)
    passes = new[1] - old[1]
    return max(0.0, new[0] - old[0]) / passes if passes > 0 else 0.0
