"""A LitServe program as its documentation advises: open_clip, Pillow, batching on.

It runs in the peers' environment, not in ours, so it imports nothing of Sluice. Every core has a
worker with one thread of torch: LitServe decodes and computes one after the other in each worker.
"""

import argparse
import base64
import io
from pathlib import Path
from typing import Any

import litserve as ls
import open_clip
import torch
from PIL import Image


class Embeddings(ls.LitAPI):  # type: ignore[misc]  # LitServe is not installed where mypy runs
    """{"images": [base64, ...]} to {"embeddings": [[...], ...]}."""

    def __init__(self, folder: Path, **batching: Any) -> None:
        super().__init__(**batching)
        self._folder = folder

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        open_clip.add_model_config(self._folder)
        name = next(self._folder.glob("*.json")).stem
        model, _, transform = open_clip.create_model_and_transforms(
            name, pretrained=str(self._folder / "weights.safetensors"), device=device
        )
        self.model, self.transform = model.eval(), transform

    def decode_request(self, request: dict[str, Any]) -> torch.Tensor:
        images = [Image.open(io.BytesIO(base64.b64decode(text))) for text in request["images"]]
        return torch.stack([self.transform(image) for image in images])

    def batch(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return list(inputs)

    def predict(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        with torch.inference_mode():
            vectors = self.model.encode_image(torch.cat(inputs))
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        return list(torch.split(vectors, [len(one) for one in inputs]))

    def unbatch(self, output: list[torch.Tensor]) -> list[torch.Tensor]:
        return output

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        return {"embeddings": output.tolist()}


def main() -> None:
    """Serve on loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="requests in one batch at most")
    options = parser.parse_args()
    api = Embeddings(options.folder, max_batch_size=options.batch, batch_timeout=0.005)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=options.workers, timeout=600)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
