"""A pipeline without an engine: real admission, made-up vectors, and a brake for tests."""

import asyncio
import hashlib
from collections.abc import Sequence

import numpy as np

from embedding_contract.endpoints import ImageErrorCode
from embedding_contract.tuning import Setting
from embedding_service.engine.admission import Admission
from embedding_service.engine.ledger import TYPICAL_REQUEST_IMAGES
from embedding_service.engine.model_info import ModelInfo
from embedding_service.engine.pipeline import Vector
from embedding_service.engine.starting import WarmUp
from embedding_service.engine.terms import Terms
from embedding_service.errors import ImageFailure
from embedding_service.settings import ServerSettings

DIMENSIONS = 8
IMAGE = b"image:"
"""What starts with these bytes is an image here."""


def vector_of(data: bytes) -> Vector:
    """Return the unit vector that the fake gives for `data`."""
    numbers = np.frombuffer(hashlib.sha256(data).digest()[:DIMENSIONS], np.uint8)
    vector = numbers.astype(np.float32) - 127.5
    unit: Vector = vector / np.float32(np.linalg.norm(vector))
    return unit


class FakePipeline:
    """Satisfies what web/ and retune.py need."""

    def __init__(self, settings: ServerSettings) -> None:
        self.model = ModelInfo(
            settings.model, settings.pretrained, "fp32", "cpu", DIMENSIONS, (224, 224), 77,
            meaningful=False, max_batch=settings.max_batch,
        )  # fmt: skip
        self.warmup: WarmUp | None = None
        self.admission = Admission(
            settings.semaphore_size,
            settings.queue_size,
            images_per_permit=TYPICAL_REQUEST_IMAGES if settings.admit_by == "images" else None,
        )
        self.terms: Terms | None = None
        self.started = 0
        self.cancelled = 0
        self.closed = False
        self.problem: str | None = None
        self.fault: Exception | None = None
        self._setting = settings.initial
        self._brake: asyncio.Event | None = None

    def hold(self) -> None:
        """Let nothing be finished until `let_go`."""
        self._brake = asyncio.Event()

    def let_go(self) -> None:
        """Finish what was held."""
        if self._brake is not None:
            self._brake.set()

    async def embed_images(
        self, images: Sequence[bytes | ImageFailure], terms: Terms
    ) -> list[Vector | ImageFailure]:
        self.terms = terms
        if images:
            await self._work()
        return [_outcome(image) for image in images]

    async def embed_texts(self, texts: Sequence[str], terms: Terms) -> list[Vector]:
        self.terms = terms
        if texts:
            await self._work()
        return [vector_of(text.encode()) for text in texts]

    async def _work(self) -> None:
        self.started += 1
        try:
            await asyncio.sleep(0)
            if self._brake is not None:
                await self._brake.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fault is not None:
            raise self.fault

    @property
    def setting(self) -> Setting:
        return self._setting

    def retune(self, setting: Setting) -> Setting:
        if self.fault is not None:
            raise self.fault
        self._setting = Setting(
            setting.num_streams, setting.semaphore_size, setting.decode_workers or 2, "cpu"
        )
        self.admission.resize(setting.semaphore_size)
        return self._setting

    def alive(self, now: float) -> str | None:
        return self.problem

    async def close(self) -> None:
        self.closed = True


def _outcome(image: bytes | ImageFailure) -> Vector | ImageFailure:
    if isinstance(image, ImageFailure):
        return image
    if not image.startswith(IMAGE):
        return ImageFailure(ImageErrorCode.NOT_AN_IMAGE, "not an image")
    return vector_of(image)
