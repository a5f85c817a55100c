"""The tuning file: what the operator writes into a ConfigMap and every pod reads.

A file that is not exactly right is refused whole: the server keeps what it has.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

VERSION: Final = 1
DecodeDevice = Literal["auto", "cpu", "gpu"]
DECODE_DEVICES: Final[tuple[DecodeDevice, ...]] = ("auto", "cpu", "gpu")

MIN_STREAMS, MAX_STREAMS = 1, 32
MIN_SEMAPHORE, MAX_SEMAPHORE = 1, 1024
MIN_DECODE_WORKERS, MAX_DECODE_WORKERS = 0, 256
MAX_FILE_BYTES = 256 * 1024
MAX_GENERATION = 2**53 - 1
"""Largest integer that a Prometheus sample holds exactly."""

RejectionReason = Literal["malformed", "unknown_version", "unknown_field", "out_of_range", "stale"]
REJECTION_REASONS: Final[tuple[RejectionReason, ...]] = (
    "malformed", "unknown_version", "unknown_field", "out_of_range", "stale",
)  # fmt: skip


class TuningRejected(ValueError):
    """The file is not a valid tuning file. `reason` is a metric label, `str()` is for people."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason: RejectionReason = reason


@dataclass(frozen=True, slots=True)
class Setting:
    """The live knobs of one server.

    `num_streams`: lanes. `semaphore_size`: requests in flight. `decode_workers`: threads, where 0
    means sized from the CPU limit. `decode_device`: where JPEGs are decoded.
    """

    num_streams: int
    semaphore_size: int
    decode_workers: int = 0
    decode_device: DecodeDevice = "auto"


@dataclass(frozen=True, slots=True)
class TuningFile:
    """One generation: a default for every pod and overrides by pod name (a canary)."""

    generation: int
    default: Setting
    pods: Mapping[str, Setting] = field(default_factory=dict)

    def for_pod(self, name: str) -> Setting:
        """Return the setting that the pod `name` must run."""
        return self.pods.get(name, self.default)


def dump_tuning(file: TuningFile) -> str:
    """Write the file as canonical JSON: equal files give equal text."""
    document = {
        "version": VERSION,
        "generation": file.generation,
        "default": setting_to_mapping(file.default),
        "pods": {name: setting_to_mapping(file.pods[name]) for name in sorted(file.pods)},
    }
    return json.dumps(document, indent=2) + "\n"


def parse_tuning(text: str | bytes) -> TuningFile:
    """Read a tuning file strictly.

    Raises:
        TuningRejected: anything unknown, missing or out of range; nothing is guessed.
    """
    if len(text) > MAX_FILE_BYTES:
        raise TuningRejected("malformed", f"the file is larger than {MAX_FILE_BYTES} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TuningRejected("malformed", f"not JSON: {error}") from error
    top = _mapping(document, "the file")
    if top.get("version") != VERSION or isinstance(top.get("version"), bool):
        raise TuningRejected(
            "unknown_version", f"version is {top.get('version')!r}, this server reads {VERSION}"
        )
    _only(top, {"version", "generation", "default", "pods"}, "the file")
    pods = _mapping(top.get("pods", {}), "pods")
    return TuningFile(
        generation=_integer(top, "generation", "the file", 0, MAX_GENERATION),
        default=parse_setting(top.get("default"), "default"),
        pods={name: parse_setting(value, f"pods.{name}") for name, value in pods.items()},
    )


_CAMEL: Final = {
    "num_streams": "numStreams",
    "semaphore_size": "semaphoreSize",
    "decode_workers": "decodeWorkers",
    "decode_device": "decodeDevice",
}


def setting_to_mapping(setting: Setting) -> dict[str, int | str]:
    """Return the setting with the names that the file, the CRD and status use."""
    return {_CAMEL[name]: value for name, value in asdict(setting).items()}


def parse_setting(value: object, where: str) -> Setting:
    """Read one setting; `where` names it in messages.

    Raises:
        TuningRejected: as `parse_tuning`.
    """
    source = _mapping(value, where)
    _only(source, set(_CAMEL.values()), where)
    device = source.get("decodeDevice", "auto")
    if device not in DECODE_DEVICES:
        raise TuningRejected(
            "out_of_range",
            f"{where}.decodeDevice is {device!r}, use one of {', '.join(DECODE_DEVICES)}",
        )
    return Setting(
        num_streams=_integer(source, "numStreams", where, MIN_STREAMS, MAX_STREAMS),
        semaphore_size=_integer(source, "semaphoreSize", where, MIN_SEMAPHORE, MAX_SEMAPHORE),
        decode_workers=_integer(
            {"decodeWorkers": 0} | dict(source),
            "decodeWorkers", where, MIN_DECODE_WORKERS, MAX_DECODE_WORKERS,
        ),
        decode_device=device,
    )  # fmt: skip


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TuningRejected("malformed", f"{where} must be an object, not {type(value).__name__}")
    return value


def _only(source: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(source) - known)
    if unknown:
        raise TuningRejected("unknown_field", f"{where} has unknown fields: {', '.join(unknown)}")


def _integer(source: Mapping[str, object], key: str, where: str, low: int, high: int) -> int:
    if key not in source:
        raise TuningRejected("malformed", f"{where} lacks {key}")
    value = source[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TuningRejected("malformed", f"{where}.{key} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise TuningRejected("out_of_range", f"{where}.{key} is {value}, allowed: {low} to {high}")
    return value
