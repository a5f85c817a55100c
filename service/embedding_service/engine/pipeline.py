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
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedding_contract.endpoints import ImageErrorCode
from embedding_contract.tuning import MAX_SEMAPHORE, Setting, setting_to_mapping
from embedding_service.engine import cpu_limit, warmup
from embedding_service.engine.admission import Admission
from embedding_service.engine.batcher import Batcher
from embedding_service.engine.busy_union import BusyUnion
from embedding_service.engine.decode_pool import DecodePool
from embedding_service.engine.job import Item, Job, wake
from embedding_service.engine.lane import Lane, LaneResult
from embedding_service.engine.lane_thread import LaneThread
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.parts import Parts
from embedding_service.engine.proof import Proof, show
from embedding_service.engine.slots import Pixels, SlotsClosed
from embedding_service.engine.starting import WarmUp
from embedding_service.engine.texts import TextThread
from embedding_service.errors import ImageFailure, ImageRejected, ParityMissed, ServerFault
from embedding_service.imaging.prepare import prepare
from embedding_service.metrics import Instruments

if TYPE_CHECKING:
    from embedding_service.settings import ServerSettings

_log = logging.getLogger(__name__)

Vector = npt.NDArray[np.float32]
"""One embedding: float32 [dimensions], unit length."""

STUCK_SECONDS = 60.0
"""A thread that is on one piece of work for longer than this is stuck..."""

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
        self._glue_seconds = warmup.glue_seconds(parts.profile, parts.resample)
        self._closed = False
        self._retuning = threading.Lock()
        self._setting = self._resolve(settings.initial)
        self.admission = Admission(
            self._setting.semaphore_size,
            settings.queue_size,
            waited=lambda seconds: instruments.waited("fetch", seconds),
        )
        self._batcher = Batcher(
            parts.info.max_batch, parts.ring.release, linger_seconds=parts.linger_seconds
        )
        self._pool = DecodePool(
            self._decode,
            self._setting.decode_workers,
            max_jobs=MAX_SEMAPHORE,
            prepare=parts.prepare_thread,
        )
        self._texts = TextThread(parts.encode_texts, parts.info.max_batch)
        self._lanes: list[LaneThread] = []
        self._stuck_seconds = STUCK_SECONDS
        self.warmup = self._warm_up()
        self._set_lanes(self._setting.num_streams)
        if settings.started_with(self.warmup.suggested) != settings.initial:
            self.retune(settings.started_with(self.warmup.suggested))
        self._show()

    # What web/ uses

    async def embed_images(
        self, images: Sequence[bytes | ImageFailure]
    ) -> list[Vector | ImageFailure]:
        """Embed images; order is kept and one bad image fails alone.

        Cancelling drops what is still queued.

        Raises:
            ServerFault: a lane failed or the pipeline is closed.
            Overloaded: more requests at once than the pool holds (admission prevents it).
        """
        self._check_open()
        self._instruments.watch_loop()
        job = Job(images, self.model.dimensions, asyncio.get_running_loop())
        if job.pending:
            self._pool.submit(job)
            try:
                await job.future
            except asyncio.CancelledError:
                job.cancelled = True
                raise
        outcome = job.outcome()
        self._instruments.images_finished(len(images) - len(job.failures), len(job.failures))
        return outcome

    async def embed_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Embed texts; order is kept.

        Raises:
            ServerFault: the text encoder failed or the pipeline is closed.
        """
        self._check_open()
        vectors = await self._texts.embed(texts)
        self._instruments.images_finished(len(vectors), 0)
        return vectors

    def alive(self, now: float) -> str | None:
        """Return None when every thread makes progress or is idle, else why not.

        `now` is `time.monotonic()`.
        """
        for lane in list(self._lanes):
            problem = lane.problem(now, self._stuck_seconds)
            if problem is not None:
                return problem
        return self._pool.stuck(now, self._stuck_seconds) or self._texts.problem(
            now, self._stuck_seconds
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
            self._set_lanes(wanted.num_streams)
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

    def _set_lanes(self, count: int) -> None:
        """Add warm lanes, or retire the last ones once their batch is done."""
        share = max(1, int(self._cores) // count)
        while len(self._lanes) < count:
            self._lanes.append(self._start_lane(share))
        retired = self._lanes[count:]
        del self._lanes[count:]
        for lane in retired:
            lane.retire()
        for lane in self._lanes:
            lane.share(share)

    def _start_lane(
        self, share: int, prove: Callable[[Lane], None] = lambda lane: None
    ) -> LaneThread:
        lane = LaneThread(
            f"lane-{len(self._lanes)}",
            self._parts.make_lane(),
            self._batcher,
            self._parts.ring,
            self._report,
        )
        lane.start(share, prove)
        return lane

    # The way of one image

    def _decode(self, job: Job, index: int) -> None:
        """Runs in a decode thread: one image into one slot, or one failure into the job."""
        started, processor = time.monotonic(), time.thread_time()
        self._instruments.waited("decode", started - job.created)
        pixels, unlocked = self._pixels_or_failure(job, index)
        decoded = time.monotonic()
        self._instruments.decode_busy(decoded - started)
        self._instruments.stage("decode", decoded - started)
        if isinstance(pixels, ImageFailure):
            if job.refuse(index, pixels):
                wake([job])
        else:
            self._hand_over(Item(job, index, -1, decoded), pixels)
        locked = time.thread_time() - processor - unlocked
        self._instruments.gil_busy(max(0.0, locked) + self._glue_seconds)

    def _pixels_or_failure(self, job: Job, index: int) -> tuple[Pixels | ImageFailure, float]:
        """Return pixels or why not, and the CPU seconds spent inside the decoders."""
        before = time.thread_time()
        try:
            data = job.take(index)
            before = time.thread_time()
            return self._pixels(data), time.thread_time() - before
        except ImageRejected as error:
            return error.failure, time.thread_time() - before
        except Exception:  # noqa: BLE001 - a fault in a decoder must not take other images along
            _log.exception("could not decode image %d of a request", index)
            failure = ImageFailure(ImageErrorCode.NOT_AN_IMAGE, "the image cannot be decoded")
            return failure, time.thread_time() - before

    def _pixels(self, data: bytes) -> Pixels:
        """Return uint8 [H, W, 3] as the model wants it.

        Raises:
            ImageRejected: with the code that the answer shows.
        """
        parts = self._parts
        return prepare(data, parts.profile, self._max_pixels, parts.resample)

    def _hand_over(self, item: Item, pixels: Pixels) -> None:
        """Wait for a slot, write it, queue it for a lane."""
        try:
            item.slot = self._parts.ring.acquire()
        except SlotsClosed:
            if item.job.fail(ServerFault("the server is closing")):
                wake([item.job])
            return
        self._parts.ring.pixels[item.slot] = pixels
        self._batcher.put(item)

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
        first = self._start_lane(max(1, int(self._cores) // self._setting.num_streams), proof)
        self._lanes.append(first)
        self._stuck_seconds = max(STUCK_SECONDS, STUCK_BATCHES * max(proof.lane_seconds.values()))
        self._check_parity(proof)
        found = proof.warm_up(self._cores, first.lane.memory_bytes())
        show(found.tables, self._instruments)
        _log.info("warm", extra={"suggested": setting_to_mapping(found.suggested)})
        return found

    def _check_parity(self, proof: Proof) -> None:
        found = proof.parity()
        if found is None:
            return
        self._instruments.parity(found.cosine_min, found.pixel_difference_max)
        self.model = replace(self.model, parity=found)
        _log.info("parity checked", extra=asdict(found))
        try:
            proof.check(found)
        except ParityMissed:
            self._stop()
            raise

    def _show(self) -> None:
        count, info = self._instruments, self.model
        count.setting(self._setting)
        count.watch_admission(lambda: self.admission.in_flight, lambda: self.admission.waiting)
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
        for lane in self._lanes:
            lane.join(CLOSE_SECONDS)
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
