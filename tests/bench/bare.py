"""Parts of the server by themselves, in a process of their own: `python -m bench.bare < task.json`.

Nothing of HTTP runs here. What the parts cost alone is held against what the whole server costs.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from embedding_service.engine.cpu_share import lane_threads
from embedding_service.engine.encoder import load_network
from embedding_service.engine.parts import Parts
from embedding_service.engine.torch_parts import torch_parts
from embedding_service.imaging.decode import decode
from embedding_service.imaging.prepare import prepare
from embedding_service.imaging.probe import probe
from embedding_service.imaging.render import least_size, render
from embedding_service.settings import ServerSettings
from embedding_service.web.answers import named_json

BATCHES: Final = (8, 16, 32)
"""Candidates for the best batch; all are batches that the server may form."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure. `environment` holds the settings that the server itself is given.

    `threads` is how many threads there are to share: one for each core.
    """

    what: str
    environment: dict[str, str]
    files: list[str]
    seconds: float
    batch: float
    threads: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one call: wall seconds (median) and CPU seconds of the whole process (mean)."""

    wall: float
    cpu: float


def timed(work: Callable[[], object], seconds: float, warm: int = 3) -> Cost:
    """Repeat for about `seconds`, five times at least."""
    for _ in range(warm):
        work()
    walls: list[float] = []
    processor, end = time.process_time(), time.perf_counter() + seconds
    while len(walls) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        walls.append(time.perf_counter() - began)
    return Cost(float(np.median(walls)), (time.process_time() - processor) / len(walls))


def timed_in_threads(works: Sequence[Callable[[], object]], seconds: float) -> float:
    """Repeat each work in a thread of its own; return CPU seconds of one call.

    A core whose neighbour works too is slower than one alone, and in the server it does.
    """
    counts = [0] * len(works)
    end = time.perf_counter() + seconds

    def repeat(index: int, work: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        while counts[index] < 3 or time.perf_counter() < end:
            work()
            counts[index] += 1

    workers = [threading.Thread(target=repeat, args=each) for each in enumerate(works)]
    processor = time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.process_time() - processor) / sum(counts)


def timed_together(
    makers: Sequence[Callable[[], object]],
    lanes: Sequence[Callable[[int], Callable[[], object]]],
    size: int,
    seconds: float,
) -> float:
    """Let lanes compute what makers made, as in the server but without it; CPU seconds an image.

    It is more than the sum of the parts: threads of one forward spin while they wait for one that
    a decode thread has pushed off its core.
    """
    made, room = threading.Semaphore(0), threading.Semaphore(2 * size * len(lanes))
    counts = [0] * len(lanes)
    end = time.perf_counter() + seconds

    def taken(of: threading.Semaphore) -> bool:
        while time.perf_counter() < end:
            if of.acquire(timeout=0.1):
                return True
        return False

    def make(work: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        while taken(room):
            work()
            made.release()

    def compute(index: int, work: Callable[[], object]) -> None:
        while all(taken(made) for _ in range(size)):
            work()
            counts[index] += size
            room.release(size)

    threads = [threading.Thread(target=make, args=(maker,)) for maker in makers]
    threads += [
        threading.Thread(target=compute, args=(index, lane(size)))
        for index, lane in enumerate(lanes)
    ]
    processor = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - processor) / max(1, sum(counts))


def forward(task: Task, parts: Parts, settings: ServerSettings) -> dict[str, Any]:
    """The bare forward: open_clip's own, and the server's lane; images/s at each batch."""
    plain, lane = _plain(task, settings), _lane(parts, lambda: task.threads)
    share = task.seconds / (2 * len(BATCHES))
    found: dict[str, Any] = {"threads": task.threads}
    for name, run in (("open_clip", plain), ("lane", lane)):
        found[name] = {str(size): size / timed(run(size), share).wall for size in BATCHES}
    found["best"] = max(*found["open_clip"].values(), *found["lane"].values())
    return found


def _plain(task: Task, settings: ServerSettings) -> Callable[[int], Callable[[], object]]:
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(settings.precision, torch.float32)
    network = load_network(settings.model, settings.pretrained, settings.precision)

    def run(size: int) -> Callable[[], object]:
        images = torch.rand(size, 3, 224, 224).to(kind)

        def once() -> object:
            torch.set_num_threads(task.threads)
            with torch.inference_mode():
                return network.encode_image(images)

        return once

    return run


def _lane(parts: Parts, threads: Callable[[], int]) -> Callable[[int], Callable[[], object]]:
    lane = parts.make_lane()
    lane.start()
    parts.ring.pixels[:] = np.random.default_rng(0).integers(
        0, 256, parts.ring.pixels.shape, np.uint8
    )

    def once(size: int) -> object:
        lane.share(threads())  # here: it holds for the thread that calls
        return lane.run(list(range(size)), lambda: None)

    return lambda size: lambda: once(size)


def _lanes(
    task: Task, parts: Parts, settings: ServerSettings, decoding: Callable[[], int]
) -> list[Callable[[int], Callable[[], object]]]:
    """New lanes for new threads, each with the threads that the server would give it now."""

    def share() -> int:
        return lane_threads(task.threads, settings.num_streams, decoding())

    return [_lane(parts, share) for _ in range(settings.num_streams)]


def one_image(task: Task, parts: Parts, settings: ServerSettings) -> dict[str, Any]:
    """Seconds of the decode and of the forward of one image, each alone and in the median."""
    data = Path(task.files[0]).read_bytes()
    with torch.inference_mode():
        torch.set_num_threads(1)
        decoded = timed(
            lambda: prepare(data, parts.profile, settings.max_image_pixels, parts.resample),
            task.seconds / 2,
        )
    lane = _lanes(task, parts, settings, lambda: 0)[0]
    computed = timed(lane(1), task.seconds / 2)
    return {"decode": decoded.wall, "forward": computed.wall}


def stages(task: Task, parts: Parts, settings: ServerSettings) -> dict[str, Any]:
    """CPU seconds an image of decode, resize, forward, answer, and of waiting for each other."""
    share = task.seconds / 5
    images = _Images(task.files, parts, settings.max_image_pixels)
    found = {
        "decode": timed_in_threads([images.decode_one] * task.threads, share),
        "resize": timed_in_threads([images.render_one] * task.threads, share),
    }
    size = max(1, min(round(task.batch), settings.max_batch))
    alone = _lanes(task, parts, settings, lambda: task.threads)
    found["forward"] = timed_in_threads([lane(size) for lane in alone], share) / size
    beside = _lanes(task, parts, settings, lambda: images.decoding)
    together = timed_together([images.both_of_one] * task.threads, beside, size, 1.6 * share)
    found["waiting for each other"] = together - sum(found.values())
    names = [f"{number:02d}.jpg" for number in range(40)]
    vectors = list(np.random.default_rng(0).random((40, parts.info.dimensions), np.float32))
    found["answer"] = timed(lambda: named_json(names, vectors), share / 4).cpu / 40
    return found


class _Images:
    """The set's images, decoded and rendered one after the other as the server does."""

    def __init__(self, files: Sequence[str], parts: Parts, max_pixels: int) -> None:
        self._parts, self._max_pixels = parts, max_pixels
        self._files = [Path(file).read_bytes() for file in files]
        self._turn = 0
        self._decoding: set[int] = set()
        self._pictures = [self._decoded(data) for data in self._files]

    def decode_one(self) -> None:
        self._decoded(self._next(self._files))

    def render_one(self) -> None:
        with torch.inference_mode():
            render(self._next(self._pictures), self._parts.profile, self._parts.resample)

    def both_of_one(self) -> None:
        self._decoding.add(threading.get_ident())
        picture = self._decoded(self._next(self._files))
        with torch.inference_mode():
            render(picture, self._parts.profile, self._parts.resample)
        self._decoding.discard(threading.get_ident())

    @property
    def decoding(self) -> int:
        """Threads that are in `both_of_one`."""
        return len(self._decoding)

    def _decoded(self, data: bytes) -> Any:
        header = probe(data, self._max_pixels)
        return decode(data, header, least_size(header, self._parts.profile), self._max_pixels)

    def _next(self, things: Sequence[Any]) -> Any:
        self._turn += 1
        return things[self._turn % len(things)]


def main() -> None:
    """Read a task, measure, write what was found."""
    task = Task(**json.load(sys.stdin))
    settings = ServerSettings.from_env(task.environment)
    parts = torch_parts(settings)
    measure = {"forward": forward, "one_image": one_image, "stages": stages}[task.what]
    json.dump(measure(task, parts, settings), sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
