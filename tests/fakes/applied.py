"""Server-side apply in small: merge, drop what the manager wants no more, note what it owns.

Written from Kubernetes' documentation, only as far as the operator's children need it.
"""

import copy
import json
from typing import Any

Manifest = dict[str, Any]

KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
ATOMIC = ("nodeSelector", "selector", "labelSelector")


def keys_of(field: str, entries: list[Any]) -> tuple[str, ...] | None:
    if field == "ports":
        return (
            ("containerPort", "protocol") if "containerPort" in entries[0] else ("port", "protocol")
        )
    return KEYS.get(field) if entries and isinstance(entries[0], dict) else None


def owned_fields(node: Any, field: str = "") -> Manifest:
    """The fields of an applied object, in the notation of managedFields."""
    if isinstance(node, dict) and field not in ATOMIC:
        return {f"f:{name}": owned_fields(value, name) for name, value in node.items()}
    if isinstance(node, list) and node:
        keys = keys_of(field, node)
        if keys is not None:
            return {
                f"k:{json.dumps({key: entry[key] for key in keys})}": {
                    ".": {},
                    **owned_fields(entry),
                }
                for entry in node
            }
    return {}


def merged(live: Any, wanted: Any, field: str = "") -> Any:
    """`wanted` over `live`."""
    if isinstance(live, dict) and isinstance(wanted, dict) and field not in ATOMIC:
        return live | {name: merged(live.get(name), value, name) for name, value in wanted.items()}
    if isinstance(live, list) and isinstance(wanted, list) and live and wanted:
        keys = keys_of(field, wanted)
        if keys is not None:
            return _merged_entries(live, wanted, keys)
    return copy.deepcopy(wanted)


def _merged_entries(live: list[Any], wanted: list[Any], keys: tuple[str, ...]) -> list[Any]:
    def key(entry: Manifest) -> tuple[Any, ...]:
        return tuple(entry.get(name) for name in keys)

    rest = {key(entry): entry for entry in live}
    entries = [merged(rest.pop(key(entry), None), entry) for entry in wanted]
    return entries + list(rest.values())


def without(live: Any, owned: Manifest, wanted: Any, field: str = "") -> Any:
    """`live` without what was owned and is wanted no more."""
    if isinstance(live, dict) and field not in ATOMIC:
        kept = {}
        for name, value in live.items():
            below = owned.get(f"f:{name}")
            if below is None:
                kept[name] = value
            elif isinstance(wanted, dict) and name in wanted:
                kept[name] = without(value, below, wanted[name], name)
        return kept
    if isinstance(live, list) and live and isinstance(live[0], dict):
        return _entries_without(live, owned, wanted, field)
    return live


def _entries_without(live: list[Any], owned: Manifest, wanted: Any, field: str) -> list[Any]:
    keys = keys_of(field, live)
    if keys is None:
        return live
    still = [] if not isinstance(wanted, list) else wanted
    kept = []
    for entry in live:
        mine = {name: entry.get(name) for name in keys}
        below = owned.get(f"k:{json.dumps(mine)}")
        same = next((each for each in still if mine.items() <= each.items()), None)
        if below is None:
            kept.append(entry)
        elif same is not None:
            kept.append(without(entry, below, same))
    return kept
