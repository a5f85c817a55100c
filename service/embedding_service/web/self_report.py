"""GET /v1/tuning and GET /v1/models: what this pod runs and what it knows about itself."""

from dataclasses import asdict
from typing import Any, Final

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


_SETTING: Final = {
    "numStreams": 1, "semaphoreSize": 4, "decodeWorkers": 2, "decodeDevice": "cpu",
}  # fmt: skip
TUNING_EXAMPLE: Final[dict[str, Any]] = {
    "pod": "clip-6d9f-abcde",
    "generation": 7,
    "setting": _SETTING,
    "requested": {**_SETTING, "decodeWorkers": 0, "decodeDevice": "auto"},
    "since": 1767225600.0,
    "rejected": None,
    "suggested": {**_SETTING, "semaphoreSize": 3},
    "warmup": {
        "lane_seconds": {"1": 0.021, "8": 0.14, "32": 0.55},
        "decode_seconds": 0.0061,
        "lane_bytes": 91000000.0,
        "permit_bytes": 17000000.0,
    },
    "activity": {
        "seconds": 30.0,
        "requests_per_second": 6.2,
        "images_per_second": 248.0,
        "rejected": 0.0,
        "in_flight": 3.9,
        "waiting": 2.4,
        "shares": {
            "memory": None, "cpu": 0.981, "gpu": None, "host": 0.083, "interpreter_lock": 0.083,
            "loop": 0.031, "copy": None, "decode": 0.412, "lanes": 0.94, "permits": 0.975,
        },
        "parts": {
            "wait": 0.31, "fetch": 0.01, "decode": 0.07, "queue": 0.35, "h2d": 0.001,
            "compute": 0.25, "d2h": 0.001, "serialise": 0.008,
        },
        "bottleneck": "CPUBound",
        "message": "The CPU is 98 % busy: 248 images/s a pod over 30 s, 2.4 requests waiting.",
        "remedy": "More CPU (resources.limits.cpu), decodeDevice gpu, smaller images, or replicas. "
        "More streams would only wait for the CPU.",
    },
}  # fmt: skip
