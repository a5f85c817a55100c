"""What the API server checks beyond single fields: CEL rules and list types. Pure.

Each message says what is wrong and what to do. spec.py checks the same rules in Python, for
resources that were written while an older CRD was installed.
"""

from typing import Any, Final

from embedding_operator.api.names import MAX_NAME_LENGTH, NAME_PATTERN

STREAMS_OUTSIDE: Final = (
    "numStreams lies outside tuning.bounds.numStreams: change numStreams or widen the bounds"
)
SEMAPHORE_OUTSIDE: Final = (
    "semaphoreSize lies outside tuning.bounds.semaphoreSize: change semaphoreSize or widen the "
    "bounds"
)
WORKERS_OUTSIDE: Final = (
    "decodeWorkers lies outside tuning.bounds.decodeWorkers: change decodeWorkers, widen the "
    "bounds, or write 0 to size it from the CPU limit"
)
NO_GPU_TO_DECODE: Final = (
    "decodeDevice gpu needs a GPU: set gpu.count to at least 1, or decodeDevice to auto or cpu"
)
NAME_TOO_LONG: Final = (
    f"the name must have at most {MAX_NAME_LENGTH} characters: the names of its children are longer"
)
NAME_NOT_A_LABEL: Final = (
    "the name must start with a letter and hold only a-z, 0-9 and -: a Service gets the same name"
)


def for_spec() -> dict[str, Any]:
    """Rules inside the spec."""
    rules = [
        _inside("numStreams", STREAMS_OUTSIDE),
        _inside("semaphoreSize", SEMAPHORE_OUTSIDE),
        _inside("decodeWorkers", WORKERS_OUTSIDE),
        {
            "rule": "self.gpu.count > 0 || self.decodeDevice != 'gpu'",
            "message": NO_GPU_TO_DECODE,
            "fieldPath": ".decodeDevice",
        },
    ]
    rules[2]["rule"] = f"self.decodeWorkers == 0 || ({rules[2]['rule']})"
    return {"x-kubernetes-validations": rules}


def _inside(field: str, message: str) -> dict[str, str]:
    bounds = f"self.tuning.bounds.{field}"
    return {
        "rule": f"self.{field} >= {bounds}.min && self.{field} <= {bounds}.max",
        "message": message,
        "fieldPath": f".{field}",
    }


def for_object() -> list[dict[str, str]]:
    """Rules of the whole resource: only here CEL sees the name."""
    return [
        {
            "rule": f"self.metadata.name.size() <= {MAX_NAME_LENGTH}",
            "message": NAME_TOO_LONG,
            "fieldPath": ".metadata.name",
        },
        {
            "rule": f"self.metadata.name.matches('{NAME_PATTERN}')",
            "message": NAME_NOT_A_LABEL,
            "fieldPath": ".metadata.name",
        },
    ]


def list_map(key: str) -> dict[str, Any]:
    """A list whose entries are told apart by `key`, so that several writers can share it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
