"""GET /v1/tuning and GET /v1/models: what this pod runs and what it knows about itself."""

from dataclasses import asdict
from typing import Any, Final

from embedding_contract.bottleneck import REMEDIES
from embedding_contract.report import report_to_mapping
from embedding_contract.tuning import setting_to_mapping
from embedding_service.engine.starting import WarmUp
from embedding_service.web.serving import Serving


def tuning_document(serving: Serving) -> dict[str, Any]:
    """Return the acknowledgement that the operator reads, and what the pod adds to it.

    Raises:
        Loading: the model is not there yet.
    """
    document = report_to_mapping(serving.reporter.report)
    warmup, activity = serving.embedder.warmup, serving.activity.activity()
    return {
        **document,
        "suggested": None if warmup is None else setting_to_mapping(warmup.suggested),
        "warmup": None if warmup is None else _warmup(warmup),
        "activity": None if activity is None else activity.to_mapping(),
    }


def _warmup(warmup: WarmUp) -> dict[str, Any]:
    tables = warmup.tables
    return {
        "lane_seconds": {str(size): seconds for size, seconds in tables.lane_seconds.items()},
        "decode_seconds": tables.decode_seconds,
        "lane_bytes": tables.lane_bytes,
        "permit_bytes": tables.permit_bytes,
    }


def model_card(serving: Serving) -> dict[str, Any]:
    """Return the entry of OpenAI's list of models, with what this server adds.

    Raises:
        Loading: the model is not there yet.
    """
    model = serving.embedder.model
    return {
        "id": model.name,
        "object": "model",
        "created": int(serving.started_at),
        "owned_by": "sluice",
        "pretrained": model.pretrained,
        "precision": model.precision,
        "precision_reason": model.precision_reason,
        "device": model.device,
        "dimensions": model.dimensions,
        "image_size": list(model.image_size),
        "context_length": model.context_length,
        "max_batch": model.max_batch,
        "meaningful": model.meaningful,
        "parity": None if model.parity is None else asdict(model.parity),
    }


# OpenAPI drops what is null, so the example is of a server where nothing is: on a GPU, and with a
# file that was refused.
_SETTING: Final = {
    "numStreams": 1, "semaphoreSize": 4, "decodeWorkers": 16, "decodeDevice": "cpu",
}  # fmt: skip
TUNING_EXAMPLE: Final[dict[str, Any]] = {
    "pod": "clip-6d9f-abcde",
    "generation": 7,
    "setting": _SETTING,
    "requested": {**_SETTING, "decodeWorkers": 0, "decodeDevice": "auto"},
    "since": 1767225600.0,
    "rejected": "generation 6 is an older generation than 7, which is in force; a changed file "
    "needs a higher one",
    "suggested": {**_SETTING, "semaphoreSize": 7},
    "warmup": {
        "lane_seconds": {"1": 0.0009, "8": 0.0011, "32": 0.0015},
        "decode_seconds": 0.0061,
        "lane_bytes": 910000000.0,
        "permit_bytes": 17000000.0,
    },
    "activity": {
        "seconds": 30.0,
        "requests_per_second": 55.0,
        "images_per_second": 2200.0,
        "rejected": 0.0,
        "in_flight": 3.9,
        "waiting": 2.4,
        "shares": {
            "memory": 0.04, "cpu": 0.981, "gpu": 0.11, "host": 0.23, "interpreter_lock": 0.23,
            "loop": 0.08, "copy": 0.02, "decode": 0.91, "lanes": 0.12, "permits": 0.975,
        },
        "parts": {
            "wait": 0.35, "fetch": 0.01, "decode": 0.4, "queue": 0.18, "h2d": 0.01,
            "compute": 0.03, "d2h": 0.01, "serialise": 0.01,
        },
        "bottleneck": "CPUBound",
        "message": "The CPU is 98 % busy: 2200 images/s a pod over 30 s, 2.4 requests waiting.",
        "remedy": REMEDIES["CPUBound"],
    },
}  # fmt: skip
MODEL_EXAMPLE: Final[dict[str, Any]] = {
    "id": "ViT-B-32",
    "object": "model",
    "created": 1760000000,
    "owned_by": "sluice",
    "pretrained": "laion2b_s34b_b79k",
    "precision": "bf16",
    "precision_reason": "bf16 is this GPU's fast format; cosine with fp32 0.99993",
    "device": "cuda",
    "dimensions": 512,
    "image_size": [224, 224],
    "context_length": 77,
    "max_batch": 32,
    "meaningful": True,
    "parity": {
        "cosine_min": 0.99991,
        "cosine_of": "wide.jpg",
        "pixel_difference_max": 0.256,
        "pixel_difference_of": "wide.jpg",
    },
}
