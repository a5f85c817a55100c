"""The pipeline: encoded images in, unit vectors out, every stage bounded.

    decode pool -> slots -> batcher -> lanes -> jobs

This is the surface that web/ and retune.py use. Law: no torch here; lanes hide the device.
"""

import asyncio
import importlib.metadata
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedding_contract.tuning import MAX_SEMAPHORE, Setting
from embedding_service.engine import cpu_limit, warmup
from embedding_service.engine.admission import Admission
from embedding_service.engine.batcher import Batcher
from embedding_service.engine.busy_union import BusyUnion
from embedding_service.engine.cpu_share import decoding_now, lane_threads, wants_company
from embedding_service.engine.deadline import before
from embedding_service.engine.decode_pool import DecodePool
from embedding_service.engine.decoding import Decoding
from embedding_service.engine.job import Item, Job, wake
from embedding_service.engine.lane import LaneResult
from embedding_service.engine.lanes import Lanes
from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts
from embedding_service.engine.proof import Proof, show
from embedding_service.engine.sharing import make_sharing
from embedding_service.engine.slots import Pixels
from embedding_service.engine.starting import WarmUp, best_batch
from embedding_service.engine.terms import Terms
from embedding_service.engine.texts import TextThread
from embedding_service.errors import (
    DeadlineExceeded,
    ImageFailure,
    ParityMissed,
    ServerFault,
)
from embedding_service.imaging.prepare import prepare
from embedding_service.metrics import Instruments

if TYPE_CHECKING:
    from embedding_service.settings import ServerSettings

_log = logging.getLogger(__name__)

Vector = npt.NDArray[np.float32]
"""One embedding: float32 [dimensions], unit length."""

STUCK_SECONDS = 20.0
"""A thread that is on one piece of work for longer than this is stuck, so that `/livez` says so
within 30 s..."""

STUCK_BATCHES = 10.0
"""... unless the warm-up showed that a full batch takes that long: then this many batches."""

CLOSE_SECONDS = 10.0
"""Longest wait for each thread when the pipeline closes."""


class Pipeline:
    """Embeds images and texts. One per process; use it from one event loop."""

    def __init__(self, parts: Parts, settings: "ServerSettings", instruments: Instruments) -> None:
        """Start every thread and warm up; blocks. `build_pipeline` makes the parts."""
        self.model: ModelInfo = parts.info
        self._parts = parts
        self._max_pixels = settings.max_image_pixels
        self._instruments = instruments
        self._cores = cpu_limit.cpu_limit_cores(settings.cpu_limit)
        # A GPU has one engine for each direction of copies beside the one that computes.
        self._gpu_union, self._in_union, self._out_union = BusyUnion(), BusyUnion(), BusyUnion()
        self._closed = False
        self._retuning = threading.Lock()
        self._setting = self._resolve(settings.initial)
        images_per_permit = TYPICAL_REQUEST_IMAGES if settings.admit_by == "images" else None
        self.admission = self._make_admission(settings.queue_size, images_per_permit)
        self._sharing = make_sharing(
            in_flight=settings.share_identical,
            cache_bytes=settings.cache_bytes,
            looked=lambda hit: instruments.cache_looked(hit=hit),
        )
        self._batcher = Batcher(
            parts.info.max_batch,
            parts.ring.release,
            linger_seconds=parts.linger_seconds,
            abandoned=self._sharing.abandoned,
            wants_company=self._wants_company,
        )
        self._decoding = Decoding(
            self._pixels,
            ring=parts.ring,
            batcher=self._batcher,
            sharing=self._sharing,
            instruments=instruments,
            glue_seconds=warmup.glue_seconds(parts.profile, parts.resample),
        )
        self._pool = DecodePool(
            self._decoding.work,
            self._setting.decode_workers,
            max_jobs=MAX_SEMAPHORE * (images_per_permit or 1),
            prepare=parts.prepare_thread,
        )
        self._texts = TextThread(parts.encode_texts, parts.info.max_batch)
        self._lanes = Lanes(
            parts.make_lane,
            self._batcher,
            parts.ring,
            self._sharing,
            report=self._report,
            replaced=instruments.lane_replaced,
            threads=self._lane_threads,
        )
        self._stuck_seconds = STUCK_SECONDS
        self.warmup = self._warm_up()
        self._lanes.resize(self._setting.num_streams)
        if settings.started_with(self.warmup.suggested) != settings.initial:
            self.retune(settings.started_with(self.warmup.suggested))
        self._show()

    def _make_admission(self, queue_size: int, images_per_permit: int | None) -> Admission:
        return Admission(
            self._setting.semaphore_size,
            queue_size,
            images_per_permit=images_per_permit,
            waited=lambda seconds: self._instruments.waited("fetch", seconds),
        )

    # What web/ uses

    async def embed_images(
        self,
        images: Sequence[bytes | ImageFailure],
        terms: Terms = Terms(),  # noqa: B008 - it is frozen
    ) -> list[Vector | ImageFailure]:
        """Embed images; order is kept and one bad image fails alone.

        Cancelling drops at once what no lane has taken, and frees its slots.

        Raises:
            DeadlineExceeded: the time that `terms` gives is over; the work was dropped.
            ServerFault: a lane failed or the pipeline is closed.
            Overloaded: more requests at once than the pool holds (admission prevents it).
        """
        self._check_open()
        self._instruments.watch_loop()
        job = Job(images, self.model.dimensions, asyncio.get_running_loop(), terms)
        if job.pending:
            self._pool.submit(job)
            try:
                async with before(terms.deadline):
                    await job.future
            except (asyncio.CancelledError, DeadlineExceeded):
                self._give_up(job)
                raise
            if job.cancelled:  # it failed: nobody wants the rest of it
                self._give_up(job)
        outcome = job.outcome()
        self._instruments.images_finished(len(images) - len(job.failures), len(job.failures))
        return outcome

    def _give_up(self, job: Job) -> None:
        """Nobody waits for this job: take what is queued of it out of every stage."""
        job.cancelled = True
        self._pool.sweep()
        self._batcher.sweep()
        self._parts.ring.wake()

    async def embed_texts(
        self,
        texts: Sequence[str],
        terms: Terms = Terms(),  # noqa: B008 - it is frozen
    ) -> list[Vector]:
        """Embed texts; order is kept.

        Raises:
            DeadlineExceeded: the time that `terms` gives is over.
            ServerFault: the text encoder failed or the pipeline is closed.
        """
        self._check_open()
        vectors = await self._texts.embed(texts, terms)
        self._instruments.images_finished(len(vectors), 0)
        return vectors

    def alive(self, now: float) -> str | None:
        """Return None when every thread makes progress or is idle, else why not.

        `now` is `time.monotonic()`.
        """
        limit = self._stuck_seconds
        return (
            self._lanes.problem(now, limit)
            or self._pool.stuck(now, limit)
            or self._texts.problem(now, limit)
        )

    async def close(self) -> None:
        """Finish what is in hand, give up what is queued, stop and join every thread."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._stop)

    # What retune.py uses

    @property
    def setting(self) -> Setting:
        """The setting in force, resolved: decode_workers is a number, decode_device cpu or gpu."""
        return self._setting

    def retune(self, setting: Setting) -> Setting:
        """Apply the knobs live and return what is in force. No request sees it.

        On a GPU a new lane warms up first, which can block for a second or more: call it in a
        thread.

        Raises:
            ServerFault: a new lane could not start; the number of lanes stays as it was.
        """
        with self._retuning:
            self._check_open()
            wanted = self._resolve(setting)
            self._lanes.resize(wanted.num_streams)
            self._pool.resize(wanted.decode_workers)
            self.admission.resize(wanted.semaphore_size)
            self._setting = wanted
            self._instruments.setting(wanted)
            return wanted

    def _resolve(self, setting: Setting) -> Setting:
        return Setting(
            num_streams=setting.num_streams,
            semaphore_size=setting.semaphore_size,
            decode_workers=setting.decode_workers or max(1, math.ceil(self._cores)),
            decode_device="cpu",
        )

    def _lane_threads(self) -> int:
        """Return the CPU threads for a lane's next batch."""
        return lane_threads(self._cores, self._setting.num_streams, self._decoding_now())

    def _wants_company(self, ready: int, live: bool) -> bool:
        """Say whether a lane on a CPU should leave so small a batch for a moment."""
        if self.model.device != "cpu":
            return False
        return wants_company(
            self._cores, self._decoding_now(), ready, pending=self._pool.pending, live=live
        )

    def _decoding_now(self) -> int:
        pool = self._pool
        return decoding_now(pool.workers, pool.busy, self._parts.ring.waiting, pending=pool.pending)

    def _pixels(self, data: bytes) -> Pixels:
        """Return uint8 [H, W, 3] as the model wants it.

        Raises:
            ImageRejected: with the code that the answer shows.
        """
        parts = self._parts
        return prepare(data, parts.profile, self._max_pixels, parts.resample)

    def _report(
        self, items: Sequence[Item], result: LaneResult, busy: float, locked: float
    ) -> None:
        """Count one batch; runs in the lane's thread, once for each batch."""
        now = time.monotonic()
        count = self._instruments
        count.batch(len(items))
        count.waited("queue", max(0.0, now - busy - min(item.ready for item in items)))
        count.stage("h2d", result.copy_in_seconds)
        count.stage("compute", result.compute_seconds)
        count.stage("d2h", result.copy_out_seconds)
        count.stream_busy(busy)
        count.gil_busy(locked)
        if self.model.device == "cuda":
            self._count_gpu(result, now)

    def _count_gpu(self, result: LaneResult, now: float) -> None:
        """Lay the device's own durations end to end before now; what overlaps counts once."""
        computed = now - result.copy_out_seconds
        copied = computed - result.compute_seconds
        copies = self._out_union.add(computed, now)
        copies += self._in_union.add(copied - result.copy_in_seconds, copied)
        self._instruments.copy_busy(copies)
        self._instruments.gpu_busy(self._gpu_union.add(copied, computed))

    # Start and stop

    def _warm_up(self) -> WarmUp:
        """Start the first lane; let it prove its vectors; measure what the tuner predicts from.

        Raises:
            ParityMissed: its vectors are not the reference's: the server must not start.
        """
        proof = Proof(self._parts, self._pixels)
        first = self._lanes.start_first(proof)
        self._stuck_seconds = max(STUCK_SECONDS, STUCK_BATCHES * max(proof.lane_seconds.values()))
        try:
            self.model = proof.checked(self._instruments)
        except ParityMissed:
            self._stop()
            raise
        self._batcher.limit(best_batch(proof.lane_seconds))
        found = proof.warm_up(self._cores, first.memory_bytes)
        show(found, self._instruments)
        return found

    def _show(self) -> None:
        count, info = self._instruments, self.model
        count.setting(self._setting)
        count.watch_admission(
            lambda: self.admission.in_flight,
            lambda: self.admission.waiting,
            lambda: self.admission.permits_in_use,
        )
        count.watch_cache(lambda: self._sharing.cache_bytes)
        count.cpu(self._cores, cpu_limit.throttled_seconds)
        if self._parts.memory_bytes is not None:
            count.gpu(self._parts.memory_bytes, self._gpu_union.ratio)
        version = importlib.metadata.version("sluice")
        count.build_info(version, info.name, info.precision, info.device)

    def _check_open(self) -> None:
        if self._closed:
            raise ServerFault("the server is closing")

    def _stop(self) -> None:
        fault = ServerFault("the server is closing")
        left = self._pool.close(CLOSE_SECONDS)
        wake([job for job in left if job.fail(fault)])
        self._batcher.close()
        self._lanes.close(CLOSE_SECONDS)
        for item in self._batcher.leave():  # the lane that would have taken it is broken
            self._decoding.close(item)
        self._parts.ring.close()
        self._texts.close(CLOSE_SECONDS)


def build_pipeline(
    settings: "ServerSettings",
    instruments: Instruments,
    make_parts: Callable[["ServerSettings"], Parts] | None = None,
) -> Pipeline:
    """Load the model, warm up and measure. Blocks for seconds: run it in a thread.

    `make_parts` is for tests; by default the parts are real.

    Raises:
        ModelUnavailable: with what to do about it.
    """
    if make_parts is not None:
        return Pipeline(make_parts(settings), settings, instruments)
    # torch takes seconds to import, and the server answers its probes meanwhile.
    from embedding_service.engine.torch_parts import torch_parts  # noqa: PLC0415

    return Pipeline(torch_parts(settings), settings, instruments)
