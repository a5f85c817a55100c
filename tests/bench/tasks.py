"""Ask `bench.bare`, in a process of its own, what a part of the server costs alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.processes import child
from bench.runs import CORES
from embedding_service.__main__ import SPIN_COUNT

_LOAD_SECONDS = 180.0


def _asked(
    what: str, settings: Mapping[str, str], files: Sequence[Path], seconds: float, batch: float
) -> dict[str, Any]:
    task = {
        "what": what,
        "environment": {**settings, "EMBEDDING_PORT": "0"},
        "files": [str(file) for file in files],
        "seconds": seconds,
        "batch": batch,
        "threads": CORES,
    }
    # The bare forward keeps torch's own way; parts of the server run as in the server.
    spin = {} if what == "forward" else {"GOMP_SPINCOUNT": str(SPIN_COUNT)}
    limit = _LOAD_SECONDS + 5 * seconds
    answer: dict[str, Any] = json.loads(child("bench.bare", json.dumps(task), limit, spin))
    return answer


def forward_of(settings: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Return images/s of the bare forward: `open_clip` and `lane` by batch, and the `best`."""
    return _asked("forward", settings, (), seconds, 0)


def one_image_of(settings: Mapping[str, str], file: Path, seconds: float) -> dict[str, float]:
    """Return seconds of `decode` and `forward` of one image."""
    return _asked("one_image", settings, (file,), seconds, 1)


def stages_of(
    settings: Mapping[str, str], files: Sequence[Path], seconds: float, batch: float
) -> dict[str, float]:
    """Return CPU seconds an image of `decode`, `resize`, `forward` (at this batch), `answer`, and
    of `waiting for each other`."""
    return _asked("stages", settings, files, seconds, batch)
