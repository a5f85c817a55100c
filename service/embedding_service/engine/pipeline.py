"""The pipeline: encoded images in, unit vectors out, every stage bounded.

This is the surface that web/ and retune.py use. Law: no torch here; lanes hide the device.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedding_contract.tuning import Setting
from embedding_service.engine.admission import Admission
from embedding_service.engine.model_info import ModelInfo
from embedding_service.errors import ImageFailure

if TYPE_CHECKING:
    from embedding_service.metrics import Instruments
    from embedding_service.settings import ServerSettings

Vector = npt.NDArray[np.float32]
"""One embedding: float32 [dimensions], unit length."""


class Pipeline:
    """Embeds images and texts. One per process; use it from one event loop."""

    model: ModelInfo
    admission: Admission

    async def embed_images(
        self, images: Sequence[bytes | ImageFailure]
    ) -> list[Vector | ImageFailure]:
        """Embed images; order is kept and one bad image fails alone.

        Cancelling drops what is still queued.

        Raises:
            ServerFault: a lane failed or the pipeline is closed.
        """
        raise NotImplementedError

    async def embed_texts(self, texts: Sequence[str]) -> list[Vector]:
        """Embed texts; order is kept.

        Raises:
            ServerFault: the text encoder failed or the pipeline is closed.
        """
        raise NotImplementedError

    @property
    def setting(self) -> Setting:
        """The setting in force, resolved: decode_workers is a number, decode_device cpu or gpu."""
        raise NotImplementedError

    def retune(self, setting: Setting) -> Setting:
        """Apply the knobs live and return what is in force. No request sees it.

        On a GPU a new lane warms up first, which can block for a second or more: call it in a
        thread. Calls must not overlap.
        """
        raise NotImplementedError

    def alive(self, now: float) -> str | None:
        """Return None when every lane makes progress or is idle, else why not.

        `now` is `time.monotonic()`.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what is queued, then stop and join every thread."""
        raise NotImplementedError


def build_pipeline(settings: "ServerSettings", instruments: "Instruments") -> Pipeline:
    """Load the model, warm up and measure. Blocks for seconds: run it in a thread.

    Raises:
        ModelUnavailable: with what to do about it.
    """
    raise NotImplementedError
