"""How each peer is started, and what is said of it in the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.environment import environment, versions
from bench.processes import Program
from bench.runs import CORES

BATCH: Final = 32
"""infinity's batch in images: its own default, and the most images it takes in a request."""

LITSERVE_BATCH: Final = 4
"""LitServe's batch in requests, of up to 32 images each."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer; `program` needs the folder of its environment and of its model."""

    name: str
    wire: str
    packages: tuple[str, ...]
    settings: str

    def program(self, models: tuple[Path, Path]) -> Program:
        """Install it if need be and say how to start it.

        Raises:
            PeerMissing: it could not be installed.
        """
        place = environment(self.name)
        transformers, open_clip = models
        if self.name == "infinity-emb":
            return _infinity(place, transformers)
        return _litserve(place, open_clip)

    @property
    def versions(self) -> str:
        """Its pinned packages that matter."""
        return versions(self.name, self.packages)


INFINITY: Final = Peer(
    "infinity-emb",
    "data-uris",
    ("infinity-emb", "torch", "transformers", "pillow", "numpy"),
    f"engine torch, device cpu, float32, batch size {BATCH} (its default), all else as it ships; "
    "requests: POST /embeddings, modality image, data URIs",
)
LITSERVE: Final = Peer(
    "litserve",
    "base64-list",
    ("litserve", "torch", "open-clip-torch", "pillow", "numpy"),
    f"{CORES} workers (one a core) with one torch thread each, batches of up to {LITSERVE_BATCH} "
    "requests, batch timeout 5 ms, open_clip with its own Pillow transform; requests: POST "
    "/predict, a JSON list of base64",
)
PEERS: Final = (INFINITY, LITSERVE)


def _infinity(place: Path, model: Path) -> Program:
    command = (
        str(place / "bin" / "infinity_emb"), "v2", "--model-id", str(model),
        "--served-model-name", "tiny", "--engine", "torch", "--device", "cpu",
        "--dtype", "float32", "--batch-size", str(BATCH), "--host", "127.0.0.1",
        "--port", "{port}", "--log-level", "warning",
    )  # fmt: skip
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "PYTHONPATH": ""}
    return Program("infinity-emb", command, "/health", quiet)


def _litserve(place: Path, model: Path) -> Program:
    command = (
        str(place / "bin" / "python"), str(Path(__file__).with_name("litserve_app.py")),
        "--folder", str(model), "--port", "{port}", "--workers", str(CORES),
        "--batch", str(LITSERVE_BATCH),
    )  # fmt: skip
    return Program("litserve", command, "/health", {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""})
