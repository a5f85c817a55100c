"""The server's settings: read once from the environment, checked at once, never changed.

The four live knobs only start from here; later they follow the tuning file (see retune.py).
The text under each field is shown by `sluice-server --help`.
"""

# ruff: noqa: RUF009 - the functions called in the class make dataclass fields

import ast
import inspect
import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from embedding_contract import tuning
from embedding_contract.endpoints import PORT, Environment
from embedding_contract.tuning import DecodeDevice, Setting
from embedding_service.allowed import (
    FETCH_URLS,
    FetchUrls,
    Network,
    parse_hosts,
    parse_networks,
    parse_prefixes,
)

Precision = Literal["auto", "fp32", "bf16", "fp16", "tf32"]
Preprocess = Literal["model", "origin"]
Device = Literal["auto", "cpu", "cuda"]
Check = Literal["on", "off"]
AdmitBy = Literal["requests", "images"]

MEBIBYTE: Final = 1024 * 1024
ENDPOINT_GRACE_SECONDS: Final = 2.0
"""How long a pod keeps accepting after SIGTERM: endpoints drop out of proxies about that late."""

DEFAULT_STREAMS: Final = 1
DEFAULT_SEMAPHORE: Final = 4
AUTO: Final = 0
"""A knob that the warm-up decides."""

_Value = TypeVar("_Value")
_VARIABLE: Final = "variable"


class SettingsError(ValueError):
    """A variable is missing or has a value that is not allowed. The message says which."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its name, how to read it and what is allowed, in words."""

    name: str
    read: Callable[[str], Any]
    allowed: str

    def value(self, text: str) -> object:
        """Return the value that `text` stands for.

        Raises:
            SettingsError: `text` is not allowed.
        """
        try:
            return self.read(text)
        except ValueError as error:
            raise SettingsError(f"{self.name} is {text!r}, allowed: {self.allowed}") from error


def _setting(variable: Variable, default: Any = MISSING) -> Any:
    return field(default=default, metadata={_VARIABLE: variable})


def _text(name: str, default: Any = MISSING, allowed: str = "any text") -> Any:
    return _setting(Variable(name, str, allowed), default)


def _choice(name: str, values: tuple[str, ...], default: str) -> Any:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return _setting(Variable(name, read, ", ".join(values)), default)


def _switch(name: str, *, default: bool) -> Any:
    words = {"true": True, "false": False}

    def read(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]

    return _setting(Variable(name, read, "true, false"), default)


def _whole(name: str, default: int, low: int, high: int, unit: str = "") -> Any:
    def read(text: str) -> int:
        return _between(int(text), low, high)

    allowed = f"a whole number from {low} to {high}{unit and ' ' + unit}"
    return _setting(Variable(name, read, allowed), default)


def _knob(name: str, default: int, low: int, high: int) -> Any:
    def read(text: str) -> int:
        return AUTO if text == "auto" else _between(int(text), low, high)

    return _setting(Variable(name, read, f"a whole number from {low} to {high}, or auto"), default)


def _seconds(name: str, default: float, low: float, high: float) -> Any:
    def read(text: str) -> float:
        return _between(float(text), low, high)

    return _setting(Variable(name, read, f"seconds, a number from {low:g} to {high:g}"), default)


def _folder(name: str, what: str = "a folder") -> Any:
    def read(text: str) -> Path:
        path = Path(text)
        if not path.is_absolute():
            raise ValueError(text)
        return path

    return _setting(Variable(name, read, f"an absolute path of {what}"), None)


def _list(name: str, read: Callable[[list[str]], tuple[Any, ...]], allowed: str) -> Any:
    def split(text: str) -> tuple[Any, ...]:
        return read([part for one in text.split(",") if (part := one.strip())])

    return _setting(Variable(name, split, f"{allowed}, with commas between them"), ())


def _cores(text: str) -> float | None:
    cores = float(text)
    if not (math.isfinite(cores) and cores >= 0):
        raise ValueError(text)
    return cores or None


def _between(value: _Value, low: float, high: float) -> _Value:
    if not low <= cast("float", value) <= high:
        raise ValueError(value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """All settings of one server process."""

    model: str = _text(Environment.MODEL, allowed="a name of open_clip or sluice-tiny")
    """Model to load: any name of open_clip, or sluice-tiny (small, for tests and the demo)."""

    pretrained: str = _text(
        Environment.PRETRAINED, allowed="a tag of open_clip, a path of a checkpoint, or random:SEED"
    )
    """Weights: a tag of open_clip, a path of a local checkpoint, or random:SEED for seeded random
    weights whose vectors mean nothing."""

    precision: Precision = _choice(
        Environment.PRECISION, ("auto", "fp32", "bf16", "fp16", "tf32"), "auto"
    )
    """Number format of the forward pass. Default auto: what the device does best without a
    visible change of the vectors; on a CPU bf16 weights where the CPU has the instructions, they
    are measured as faster and the parity check holds, else fp32."""

    preprocess: Preprocess = _choice(Environment.PREPROCESS, ("model", "origin"), "model")
    """How pictures are resized. Default model: as the model was trained, so that vectors can be
    compared with vectors made elsewhere."""

    parity_check: Check = _choice(Environment.PARITY_CHECK, ("on", "off"), "on")
    """Self-test at start: golden images and texts must get the vectors of open_clip's own fp32
    path, or the server does not start. Default on: it costs a second or two. Off also keeps
    precision auto at fp32 on a CPU."""

    device: Device = _choice(Environment.DEVICE, ("auto", "cpu", "cuda"), "auto")
    """Where the model runs. Default auto: a GPU where there is one, else the CPU."""

    pod_name: str = _text(Environment.POD_NAME, "")
    """Name of the pod, to find its own entry in the tuning file. Empty outside a cluster."""

    tuning_directory: Path | None = _folder(Environment.TUNING_DIRECTORY)
    """Folder with tuning.json, read again on change. Not set: the knobs stay as they start."""

    image_folder: Path | None = _folder(Environment.IMAGE_FOLDER)
    """Folder whose images POST /embed may name. Not set: names are refused."""

    fetch_urls: FetchUrls = _choice(Environment.FETCH_URLS, FETCH_URLS, "public")
    """Which http and https URLs are fetched for clients. Default public: from addresses of the
    public internet, ports 80 and 443. any: from private addresses and other ports too."""

    fetch_hosts: tuple[str, ...] = _list(
        Environment.FETCH_HOSTS, parse_hosts, "host names such as example.org"
    )
    """Hosts from which URLs are fetched, with all names below them. Not set: all hosts."""

    fetch_networks: tuple[Network, ...] = _list(
        Environment.FETCH_NETWORKS, parse_networks, "networks such as 10.1.0.0/16"
    )
    """IP addresses that may be fetched from though they are not public, on every port."""

    object_prefixes: tuple[str, ...] = _list(
        Environment.OBJECT_PREFIXES, parse_prefixes, "prefixes such as s3://albums/2024/ or gs://b/"
    )
    """What is read from object stores, with the server's own credentials, for every client that
    asks. Not set: nothing."""

    fetch_timeout_seconds: float = _seconds(Environment.FETCH_TIMEOUT_SECONDS, 10.0, 0.1, 600.0)
    """Longest fetch of one image in seconds, redirects included. All images of one request may
    take four times as long. Default 10."""

    fetch_redirects: int = _whole(Environment.FETCH_REDIRECTS, 3, 0, 10)
    """Redirects that are followed for one image; each is checked like the first URL. Default 3."""

    fetch_concurrency: int = _whole(Environment.FETCH_CONCURRENCY, 64, 1, 1024, "fetches")
    """Fetches at the same time, and connections; one request may use a quarter. Default 64."""

    max_fetch_bytes: int = _whole(Environment.MAX_FETCH_BYTES, 256 * MEBIBYTE, 1024, 2**40, "bytes")
    """Bytes that one request may make the server fetch, all images together. Default 256 MiB."""

    api_keys_file: Path | None = _folder(Environment.API_KEYS_FILE, "a file or a folder of files")
    """Keys that clients must send as `Authorization: Bearer KEY`: one a line, # begins a comment,
    read again on change. Set and without any key: everybody is refused. Not set: no key is
    needed."""

    host: str = _text(Environment.HOST, "0.0.0.0", "an address of this machine")  # noqa: S104
    """Address to listen on. Default 0.0.0.0: probes and clients reach a pod from outside."""

    port: int = _whole(Environment.PORT, PORT, 0, 65535)
    """TCP port to listen on; 0 takes a free one. The default is the port of the contract."""

    num_streams: int = _knob(
        Environment.NUM_STREAMS, DEFAULT_STREAMS, tuning.MIN_STREAMS, tuning.MAX_STREAMS
    )
    """Lanes at start; auto takes what the warm-up suggests. Default 1: more helps only where one
    leaves the device idle."""

    semaphore_size: int = _knob(
        Environment.SEMAPHORE_SIZE, DEFAULT_SEMAPHORE, tuning.MIN_SEMAPHORE, tuning.MAX_SEMAPHORE
    )
    """Requests in flight at start; auto takes what the warm-up suggests. Default 4: enough to
    overlap decode and compute."""

    decode_workers: int = _whole(
        Environment.DECODE_WORKERS, 0, tuning.MIN_DECODE_WORKERS, tuning.MAX_DECODE_WORKERS
    )
    """Decode threads at start. Default 0: sized from the CPU limit of the container."""

    decode_device: DecodeDevice = _choice(Environment.DECODE_DEVICE, tuning.DECODE_DEVICES, "auto")
    """Where JPEGs are decoded at start. Default auto: what the warm-up measured as faster."""

    max_batch: int = _whole(Environment.MAX_BATCH, 32, 1, 1024, "images")
    """Images in one forward pass at most. Default 32: close to full speed on most GPUs."""

    queue_size: int = _whole(Environment.QUEUE_SIZE, 64, 0, 65536, "requests")
    """Requests that may wait for a permit; the next one gets 429. Default 64: a short burst."""

    queue_timeout_seconds: float = _seconds(Environment.QUEUE_TIMEOUT_SECONDS, 30.0, 0.0, 3600.0)
    """Longest wait for a permit, in seconds; then 429. Default 30: half of usual client limits."""

    admit_by: AdmitBy = _choice(Environment.ADMIT_BY, ("requests", "images"), "requests")
    """What a permit counts. Default requests: each takes one. images: a permit is room for the 40
    images of a typical request, and each image takes its part, so that a request of one image does
    not cost what one of 50 does."""

    live_items: int = _whole(Environment.LIVE_ITEMS, 4, 0, 65536, "images and texts")
    """A request that names no class in X-Priority is live up to this many images and texts, else
    bulk. Default 4: somebody waits for a few, nobody for an album."""

    deadline_seconds: float = _seconds(Environment.DEADLINE_SECONDS, 0.0, 0.0, 3600.0)
    """Deadline of a request that names none in X-Deadline-Seconds, in seconds from its arrival;
    late work is dropped and answered 504. Default 0: none."""

    share_identical: bool = _switch(Environment.SHARE_IDENTICAL, default=True)
    """Whether the same image in several requests in flight is computed once. Default true: images
    are compared, not hashed, so it costs nothing where no two are alike."""

    cache_bytes: int = _whole(Environment.CACHE_BYTES, 0, 0, 2**40, "bytes")
    """Memory for vectors of images seen before, in bytes; the least recently used go first. Default
    0: no cache. With one, every image is hashed: about 0.5 ms of one core for each MiB."""

    max_request_bytes: int = _whole(
        Environment.MAX_REQUEST_BYTES, 64 * MEBIBYTE, 1024, 2**40, "bytes"
    )
    """Size of one request's body at most, in bytes; then 413. Default 64 MiB."""

    max_image_bytes: int = _whole(Environment.MAX_IMAGE_BYTES, 32 * MEBIBYTE, 1, 2**40, "bytes")
    """Size of one encoded image at most, in bytes. Default 32 MiB: above any usual photograph."""

    max_image_pixels: int = _whole(
        Environment.MAX_IMAGE_PIXELS, 100_000_000, 1, 2**31 - 1, "pixels"
    )
    """Pixels of one image at most, read from its header before decoding. Default 100 million:
    a decoded image takes three bytes a pixel."""

    max_images_per_request: int = _whole(
        Environment.MAX_IMAGES_PER_REQUEST, 256, 1, 65536, "images or texts"
    )
    """Images and texts in one request at most; then 413. Default 256: several full batches."""

    drain_seconds: float = _seconds(Environment.DRAIN_SECONDS, 30.0, 0.0, 3600.0)
    """Time after SIGTERM for admitted work, in seconds. Default 30, Kubernetes' own default."""

    cpu_limit: float | None = _setting(
        Variable(Environment.CPU_LIMIT, _cores, "cores, a number >= 0; 0 means no limit"), None
    )
    """CPU limit of the container in cores, from the downward API. Not set: read from the kernel's
    control group, else all cores of the machine."""

    @property
    def initial(self) -> Setting:
        """The live knobs at start; where one is auto, the default until the warm-up decided."""
        return Setting(
            self.num_streams or DEFAULT_STREAMS,
            self.semaphore_size or DEFAULT_SEMAPHORE,
            self.decode_workers,
            self.decode_device,
        )

    def started_with(self, suggested: Setting) -> Setting:
        """Return `initial` with the warm-up's suggestion for each knob that is auto."""
        return replace(
            self.initial,
            num_streams=self.num_streams or suggested.num_streams,
            semaphore_size=self.semaphore_size or suggested.semaphore_size,
        )

    @property
    def endpoint_grace_seconds(self) -> float:
        """Seconds after SIGTERM in which new requests are still taken; part of drain_seconds."""
        return min(ENDPOINT_GRACE_SECONDS, self.drain_seconds / 4)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ServerSettings":
        """Read all settings; an empty value counts as not set.

        Raises:
            SettingsError: a variable is missing or not allowed; the message names it.
        """
        values: dict[str, object] = {}
        for one in fields(cls):
            variable: Variable = one.metadata[_VARIABLE]
            text = environ.get(variable.name, "").strip()
            if text:
                values[one.name] = variable.value(text)
            elif one.default is MISSING:
                raise SettingsError(f"{variable.name} is not set, give it {variable.allowed}")
        return cls(**values)  # type: ignore[arg-type]


def describe_settings() -> str:
    """Return the text of `--help`: every variable with its default, limits and meaning."""
    meanings = _field_docstrings(ServerSettings)
    blocks = []
    for one in fields(ServerSettings):
        variable: Variable = one.metadata[_VARIABLE]
        default = "required" if one.default is MISSING else f"default {_shown(one.default)}"
        meaning = textwrap.fill(meanings[one.name], 92)
        lines = f"{variable.name}  ({default})\n{meaning}\nallowed: {variable.allowed}"
        blocks.append(textwrap.indent(lines, "    ").removeprefix("    "))
    return "\n\n".join(blocks)


def _shown(default: object) -> str:
    return "not set" if default in (None, "") else str(default)


def _field_docstrings(kind: type) -> dict[str, str]:
    """Return the text that stands under each field in the source of `kind`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for line, below in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        assert isinstance(below, ast.Expr)
        assert isinstance(below.value, ast.Constant)
        found[line.target.id] = " ".join(str(below.value.value).split())
    return found
