"""The way of one image through a decode thread: from its bytes to a slot and into the batcher."""

import logging
import time
from collections.abc import Callable

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.engine.batcher import Batcher
from embedding_service.engine.job import Item, Job, wake
from embedding_service.engine.sharing import Sharing
from embedding_service.engine.slots import Pixels, SlotRing, SlotsClosed
from embedding_service.errors import ImageFailure, ImageRejected, ServerFault
from embedding_service.metrics import Instruments

_log = logging.getLogger(__name__)


class Decoding:
    """`work` is what the decode pool runs for each image."""

    def __init__(
        self,
        pixels: Callable[[bytes], Pixels],
        *,
        ring: SlotRing,
        batcher: Batcher,
        sharing: Sharing,
        instruments: Instruments,
        glue_seconds: float,
    ) -> None:
        """`pixels` makes uint8 [H, W, 3] or raises ImageRejected.

        `glue_seconds` is the CPU time of the Python around the decoders, for one image.
        """
        self._pixels = pixels
        self._ring = ring
        self._batcher = batcher
        self._sharing = sharing
        self._instruments = instruments
        self._glue_seconds = glue_seconds

    def work(self, job: Job, index: int) -> Callable[[], None] | None:
        """Runs in a decode thread: one image to pixels, or one failure into its jobs.

        Returns what hands the pixels over, None where there is nothing to hand over.
        """
        started = time.monotonic()
        self._instruments.waited("decode", started - job.created)
        data = job.take(index)
        item = self._first_of(job, index, data)
        if item is None:
            self._instruments.decode_busy(time.monotonic() - started)
            return None
        processor = time.thread_time()
        pixels, unlocked = self._pixels_or_failure(data)
        item.ready = time.monotonic()
        self._instruments.decode_busy(item.ready - started)
        self._instruments.stage("decode", item.ready - started)
        locked = time.thread_time() - processor - unlocked
        self._instruments.gil_busy(max(0.0, locked) + self._glue_seconds)
        if isinstance(pixels, ImageFailure):
            wants = self._sharing.finish(item, None)
            wake([job for job, index in wants if job.refuse(index, pixels)])
            return None
        return lambda: self._hand_over(item, pixels)

    def _first_of(self, job: Job, index: int, data: bytes) -> Item | None:
        """Return the item to work on; None when the cache or work in flight gives the vector."""
        digest, vector = self._sharing.cached(data)
        if vector is not None:
            if job.accept([index], vector[None]):
                wake([job])
            return None
        item = self._sharing.enter(job, index, data, digest)
        if item is None:
            self._instruments.image_shared()
        return item

    def _pixels_or_failure(self, data: bytes) -> tuple[Pixels | ImageFailure, float]:
        """Return pixels or why not, and the CPU seconds spent inside the decoders."""
        before = time.thread_time()
        try:
            return self._pixels(data), time.thread_time() - before
        except ImageRejected as error:
            return error.failure, time.thread_time() - before
        except Exception:  # noqa: BLE001 - a fault in a decoder must not take other images along
            _log.exception("could not decode an image")
            failure = ImageFailure(ImageErrorCode.NOT_AN_IMAGE, "the image cannot be decoded")
            return failure, time.thread_time() - before

    def _hand_over(self, item: Item, pixels: Pixels) -> None:
        """Wait for a slot, write it, queue it for a lane; unless everybody leaves meanwhile."""
        ring = self._ring
        try:
            slot = ring.acquire_unless(lambda: self._sharing.abandoned(item, time.monotonic()))
        except SlotsClosed:
            self.close(item)
            return
        if slot is not None:
            item.slot = slot
            ring.pixels[slot] = pixels
            self._batcher.put(item)

    def close(self, item: Item) -> None:
        """Fail whoever waits for an image that no lane will compute any more."""
        fault = ServerFault("the server is closing")
        wants = self._sharing.finish(item, None)
        wake([job for job, _ in wants if job.fail(fault)])
