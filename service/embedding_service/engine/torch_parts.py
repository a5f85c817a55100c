"""The real parts: an open_clip encoder and lanes on a GPU or on the CPU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch

from embedding_service.engine import cuda_lane
from embedding_service.engine.cpu_lane import CpuLane
from embedding_service.engine.cpu_limit import cpu_limit_cores
from embedding_service.engine.encoder import Encoder, load_encoder
from embedding_service.engine.lane import Lane
from embedding_service.engine.parts import Parts, make_ring
from embedding_service.engine.resampling import torch_resample

if TYPE_CHECKING:
    from embedding_service.settings import ServerSettings

GPU_LINGER_SECONDS = 0.0003
"""A GPU lane may wait this long for a fuller batch while another lane keeps the device busy."""


def torch_parts(settings: "ServerSettings") -> Parts:
    """Load the model and make everything that depends on the device.

    Raises:
        ModelUnavailable: with what to do about it.
    """
    if settings.device != "cuda":
        # Of this thread, as lanes do: all cores of the machine would be too many in a container.
        torch.set_num_threads(max(1, int(cpu_limit_cores(settings.cpu_limit))))
    encoder = load_encoder(
        settings.model,
        settings.pretrained,
        precision=settings.precision,
        device=settings.device,
        preprocess=settings.preprocess,
        max_batch=settings.max_batch,
        parity_check=settings.parity_check == "on",
    )
    on_gpu = encoder.device.type == "cuda"
    cv2.setNumThreads(1)  # parallelism is the decode pool's business
    if on_gpu:
        ring = make_ring(settings.max_batch, encoder.profile, cuda_lane.pinned_pixels)
    else:
        ring = make_ring(settings.max_batch, encoder.profile)

    def make_lane() -> Lane:
        if on_gpu:
            return cuda_lane.CudaLane(encoder, ring, settings.max_batch)
        return CpuLane(encoder, ring)

    return Parts(
        info=encoder.info,
        profile=encoder.profile,
        ring=ring,
        make_lane=make_lane,
        encode_texts=lambda texts: _encode_texts(encoder, texts),
        resample=torch_resample,
        prepare_thread=lambda: torch.set_num_threads(1),
        memory_bytes=cuda_lane.memory_bytes if on_gpu else None,
        linger_seconds=GPU_LINGER_SECONDS if on_gpu else 0.0,
        reference=encoder.reference,
        preprocess=settings.preprocess,
    )


def _encode_texts(encoder: Encoder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return unit vectors float32 [texts, dimensions]. Runs in the text thread."""
    with torch.inference_mode():
        vectors = encoder.encode_texts(texts)
        return np.array(vectors.cpu().numpy(), np.float32)
