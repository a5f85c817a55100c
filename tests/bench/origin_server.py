"""The origin's design, written faithfully as the baseline: what Sluice must beat.

FastAPI, OpenCV, N CUDA streams handed out round-robin, a semaphore on requests in flight. Each
request decodes at full size in a thread pool of its own, preprocesses image by image, runs the
model in batches of 32 and answers as FastAPI does by default. OpenCV and torch keep their own
numbers of threads, as they did there. See docs/concepts/origin.md.
"""

import argparse
import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import cv2
import numpy as np
import open_clip
import torch
import uvicorn
from fastapi import FastAPI, File, UploadFile

MEAN = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
STD = torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
SIDE = 224


class StreamManager:
    """Creates N CUDA streams once and hands them out round-robin; on a CPU it hands out nothing."""

    def __init__(self, num_streams: int, device: str) -> None:
        streams: list[Any] = [None] * num_streams
        if device == "cuda":
            streams = [torch.cuda.Stream() for _ in range(num_streams)]  # type: ignore[no-untyped-call]
        self._turns: Iterator[Any] = itertools.cycle(streams)

    def next(self) -> Any:
        """Return the next stream."""
        return next(self._turns)


def on_stream(stream: Any) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)


def preprocess(data: bytes, stream: Any, device: str) -> torch.Tensor:
    """Encoded bytes to float32 [3, 224, 224], normalised, on the device."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("not an image")
    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    with on_stream(stream):
        tensor = torch.from_numpy(small).permute(2, 0, 1).to(device).float() / 255
        return (tensor - MEAN.to(device)) / STD.to(device)


def embed_images(
    model: Any, images: dict[str, bytes], stream: Any, device: str, batch: int = 32
) -> dict[str, list[float]]:
    """Preprocess in a thread pool, encode in batches on the same stream, copy back."""
    with ThreadPoolExecutor() as pool:
        tensors = list(pool.map(lambda data: preprocess(data, stream, device), images.values()))
    rows: list[list[float]] = []
    with torch.no_grad(), on_stream(stream):
        for start in range(0, len(tensors), batch):
            vectors = model.encode_image(torch.stack(tensors[start : start + batch]))
            rows += (vectors / vectors.norm(dim=-1, keepdim=True)).cpu().tolist()
    return dict(zip(images, rows, strict=True))


def create_app(model: Any, num_streams: int, semaphore_size: int, device: str) -> FastAPI:
    """The origin's controller: take the next stream, embed off the event loop, answer."""
    app = FastAPI()
    streams = StreamManager(num_streams, device)
    semaphore = asyncio.Semaphore(semaphore_size)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/embed")
    async def embed(files: Annotated[list[UploadFile], File()]) -> dict[str, Any]:
        async with semaphore:
            # Under the permit, as the origin fetched under it: waiting requests hold no images.
            images = {
                file.filename or str(index): await file.read() for index, file in enumerate(files)
            }
            vectors = await asyncio.to_thread(embed_images, model, images, streams.next(), device)
        return {"embeddings": vectors, "errors": {}}

    return app


def main() -> None:
    """Serve the baseline on loopback."""
    from embedding_service.engine.encoder import load_network

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="sluice-tiny")
    parser.add_argument("--pretrained", default="random:0")
    parser.add_argument("--num-streams", type=int, default=1)
    parser.add_argument("--semaphore-size", type=int, default=4)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_network(options.model, options.pretrained).to(torch.device(device)).eval()
    app = create_app(model, options.num_streams, options.semaphore_size, device)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
