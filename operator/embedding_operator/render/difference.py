"""What differs between an object as wanted and as it is, in words.

Only our own fields count: those that we want, and those that we once applied (managedFields says
which) and want no more. Everything else belongs to Kubernetes' defaulting or to other people.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.api.quantity import same_quantity
from embedding_operator.api.service import Manifest

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that other people may add to: by which fields Kubernetes tells their entries apart."""
_WHOLE: Final = ("nodeSelector", "selector", "labelSelector")
"""Objects that Kubernetes gives to one manager as a whole: nobody else may add to them."""
_AMOUNTS: Final = ("requests", "limits")
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """The first field that is not as wanted."""

    path: str
    live: object
    wanted: object

    def __str__(self) -> str:
        return f"{self.path} is {_shown(self.live)}, wanted {_shown(self.wanted)}"


def difference(wanted: Manifest, live: Manifest | None) -> Difference | None:
    """Return the first difference that applying `wanted` would remove, or None."""
    if live is None:
        return Difference(wanted["kind"], _ABSENT, wanted["metadata"]["name"])
    for found in (_compare(wanted, live, ""), _left_over(_owned(live), wanted, live, "")):
        if found is not None:
            return found
    return None


def _compare(wanted: Any, live: Any, path: str) -> Difference | None:
    """Compare what is wanted; more than that is fine in objects and keyed lists."""
    if path.rsplit(".", 1)[-1] in _WHOLE:
        return None if wanted == live else Difference(path, live, wanted)
    if isinstance(wanted, dict) and isinstance(live, dict):
        pairs: Iterator[tuple[str, Any, Any]] = (
            (f"{path}.{name}" if path else name, value, live.get(name, _ABSENT))
            for name, value in wanted.items()
        )
    elif isinstance(wanted, list) and isinstance(live, list):
        keys = _KEYS.get(path.rsplit(".", 1)[-1])
        if keys is None and len(wanted) != len(live):
            return Difference(path, live, wanted)
        pairs = _pairs(wanted, live, keys, path)
    else:
        return None if _same(wanted, live, path) else Difference(path, live, wanted)
    return next(filter(None, (_compare(one, other, at) for at, one, other in pairs)), None)


def _pairs(
    wanted: list[Any], live: list[Any], keys: tuple[str, ...] | None, path: str
) -> Iterator[tuple[str, Any, Any]]:
    for index, one in enumerate(wanted):
        if keys is None:
            yield f"{path}[{index}]", one, live[index]
        else:
            key = {name: one[name] for name in keys if name in one}
            found = (other for other in live if _matches(other, key))
            yield (
                f"{path}[{', '.join(str(value) for value in key.values())}]",
                one,
                next(found, _ABSENT),
            )


def _matches(entry: Any, key: Mapping[str, Any]) -> bool:
    return all(entry.get(name, value) == value for name, value in key.items())


def _same(wanted: Any, live: Any, path: str) -> bool:
    parts = path.split(".")
    if parts[-1] == "sizeLimit" or (len(parts) > 1 and any(part in _AMOUNTS for part in parts)):
        return live is not _ABSENT and same_quantity(wanted, live)
    return bool(wanted == live)


def _owned(live: Manifest) -> Manifest:
    """The fields that we applied last, in the notation of managedFields."""
    for entry in live.get("metadata", {}).get("managedFields", ()):
        ours = entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"
        if ours and not entry.get("subresource"):
            return dict(entry.get("fieldsV1", {}))
    return {}


def _left_over(owned: Manifest, wanted: Any, live: Any, path: str) -> Difference | None:
    """The first field that is ours, still there, and no more wanted."""
    for mark, below in owned.items():
        if mark == ".":
            continue
        at, ours, theirs = _step(mark, wanted, live, path)
        if theirs is _ABSENT:
            continue
        if ours is _ABSENT:
            return Difference(at, theirs, _ABSENT)
        found = _left_over(below, ours, theirs, at)
        if found is not None:
            return found
    return None


def _step(mark: str, wanted: Any, live: Any, path: str) -> tuple[str, Any, Any]:
    """Follow one step: f:name into an object, k:{keys} into a keyed list, v:value into a set."""
    kind, text = mark.split(":", 1)
    if kind == "f":
        at = f"{path}.{text}" if path else text
        return at, _field(wanted, text), _field(live, text)
    key = json.loads(text)
    if kind == "v":
        return path, _member(wanted, key), _member(live, key)
    at = f"{path}[{', '.join(str(value) for value in key.values())}]"
    return at, _entry(wanted, key), _entry(live, key)


def _field(node: Any, name: str) -> Any:
    return node.get(name, _ABSENT) if isinstance(node, dict) else _ABSENT


def _entry(node: Any, key: Mapping[str, Any]) -> Any:
    entries = node if isinstance(node, list) else []
    return next((entry for entry in entries if _matches(entry, key)), _ABSENT)


def _member(node: Any, value: Any) -> Any:
    return value if isinstance(node, list) and value in node else _ABSENT


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
