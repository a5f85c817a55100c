"""A job: the images of one request on their way through the pipeline.

Decode threads and lanes report into it; the last report wakes the request's event loop once.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedding_service.engine.terms import Priority, Terms
from embedding_service.errors import ImageFailure, ServerFault

Vectors = npt.NDArray[np.float32]


class Job:
    """Images in, one row of `vectors` (float32 [images, dimensions]) or one failure each out."""

    def __init__(
        self,
        images: Sequence[bytes | ImageFailure],
        dimensions: int,
        loop: asyncio.AbstractEventLoop,
        terms: Terms = Terms(),  # noqa: B008 - it is frozen
    ) -> None:
        self.loop = loop
        self.terms = terms
        self.future: asyncio.Future[None] = loop.create_future()
        self.created = time.monotonic()
        self.cancelled = False
        self.failures = {
            index: image for index, image in enumerate(images) if isinstance(image, ImageFailure)
        }
        self.pending = [index for index in range(len(images)) if index not in self.failures]
        self._images: list[bytes | None] = [
            image if isinstance(image, bytes) else None for image in images
        ]
        self._vectors: Vectors = np.empty((len(images), dimensions), np.float32)
        self._remaining = len(self.pending)
        self._fault: ServerFault | None = None
        self._lock = threading.Lock()

    def gone(self, now: float) -> bool:
        """Say whether nobody waits any more: cancelled, failed or late. `now` is monotonic."""
        return self.cancelled or now > self.terms.deadline

    def take(self, index: int) -> bytes:
        """Hand out the bytes of one image; the job forgets them, which frees memory early."""
        data, self._images[index] = self._images[index], None
        if data is None:
            raise ValueError(f"image {index} was taken twice")
        return data

    def accept(self, indices: Sequence[int], rows: Vectors) -> bool:
        """Store vectors; return True when the job is complete."""
        with self._lock:
            self._vectors[indices] = rows
            return self._done(len(indices))

    def refuse(self, index: int, failure: ImageFailure) -> bool:
        """Store why one image failed alone; return True when the job is complete."""
        with self._lock:
            self.failures[index] = failure
            return self._done(1)

    def fail(self, fault: ServerFault) -> bool:
        """Give the whole job up; return True when it was not complete yet."""
        with self._lock:
            first = self._remaining > 0
            self._remaining = 0
            self._fault = self._fault or fault
            self.cancelled = True
            return first

    def _done(self, count: int) -> bool:
        before, self._remaining = self._remaining, self._remaining - count
        return before > 0 and self._remaining <= 0

    def outcome(self) -> list[Vectors | ImageFailure]:
        """Return a vector or a failure for each image, in order.

        Raises:
            ServerFault: the job was given up.
        """
        if self._fault is not None:
            raise self._fault
        return [self.failures.get(index, row) for index, row in enumerate(self._vectors)]


def wake(jobs: Iterable[Job]) -> None:
    """Resolve finished jobs: one call into each event loop, however many images there were."""
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, finished in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, finished)
        except RuntimeError:  # the loop is closed: nobody waits for these any more
            continue


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_result(None)


Want = tuple[Job, int]
"""Who wants a vector: which image of which job."""


@dataclass(eq=False, slots=True)
class Item:
    """One image that is worked on: for whom, in which class, and where its pixels lie."""

    wants: list[Want]
    """More than one when several requests hold the same image; `Sharing` alone changes it."""
    priority: Priority = "bulk"
    slot: int = -1
    """-1: it has none."""
    ready: float = 0.0
    """time.monotonic() at which its pixels were ready."""
    digest: bytes | None = None
    """Its key in the cache, where there is one."""


def everybody_gone(item: Item, now: float) -> bool:
    """Say whether nobody waits for this image, where it is not shared."""
    return all(job.gone(now) for job, _ in item.wants)
