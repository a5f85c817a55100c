"""The CustomResourceDefinition, generated from the types of this room. Pure.

`python -m embedding_operator.api.crd` prints it; `make generate` writes k8s/crd and the chart's
copy. pydantic writes JSON Schema; Kubernetes wants a *structural* schema: no references, no
`anyOf` for what may be absent, every default spelled out. The functions below translate.
"""

import sys
from typing import Any, Final

import yaml
from pydantic import BaseModel

from embedding_operator.api import names, rules
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import EmbeddingServiceStatus

Schema = dict[str, Any]

HEADER: Final = (
    "# Generated from operator/embedding_operator/api: run `make generate` after a change there.\n"
)
_DROPPED: Final = ("title", "propertyNames")
_COLUMNS: Final = (
    ("Ready", ".status.summary.ready", 0, "Ready pods of wanted pods"),
    ("Streams", ".status.summary.streams", 0, "Lanes in each pod"),
    ("Semaphore", ".status.summary.semaphore", 0, "Requests in flight in each pod"),
    ("Bottleneck", ".status.summary.bottleneck", 0, "What limits the service"),
    ("Mode", ".status.summary.mode", 0, "What the tuner may do"),
    ("Model", ".spec.model.name", 1, "The model"),
)


def custom_resource_definition() -> Schema:
    """The whole object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    columns: list[Schema] = [
        {"name": name, "type": "string", "jsonPath": path, "description": text}
        | ({"priority": priority} if priority else {})
        for name, path, priority, text in _COLUMNS
    ]
    replicas = {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas",
                "description": "Pods that exist", "priority": 1}  # fmt: skip
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [*columns[:5], age, replicas, *columns[5:]],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Schema:
    return {
        "type": "object",
        "description": "One image-embedding service: its model, its pods and its live settings.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # A name has at most 253 characters anyway; said here, the rule on it costs little.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 253}},
            },
            "spec": structural(EmbeddingServiceSpec),
            "status": _without_defaults(structural(EmbeddingServiceStatus)),
        },
        "x-kubernetes-validations": rules.for_object(),
    }


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a type."""
    schema = model.model_json_schema(by_alias=True)
    return _translate(schema, schema.get("$defs", {}))


def _translate(node: Schema, definitions: Schema) -> Schema:
    """One node and all below it."""
    node = _inlined(node, definitions)
    out: Schema = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _translate(each, definitions) for name, each in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            out[key] = _translate(value, definitions)
        elif key == "exclusiveMinimum":
            out |= {"minimum": value, "exclusiveMinimum": True}
        elif key == "const":
            out["enum"] = [value]
        elif key not in {*_DROPPED, "$defs", "additionalProperties", "default"}:
            out[key] = value
    return out | _default(node, out)


def _inlined(node: Schema, definitions: Schema) -> Schema:
    """The node with its reference followed and "X or null" read as X."""
    if "anyOf" in node and "x-kubernetes-int-or-string" not in node:
        branches = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
        if len(branches) != 1:
            raise ValueError(f"a field may have only one type: {node}")
        siblings = {name: value for name, value in node.items() if name != "anyOf"}
        return _inlined(branches[0] | siblings, definitions)
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        siblings = {name: value for name, value in node.items() if name != "$ref"}
        return _inlined(target | siblings, definitions)
    if "description" in node:
        node = node | {"description": " ".join(node["description"].split())}
    return node


def _default(node: Schema, out: Schema) -> Schema:
    """A nested object defaults to {}: the defaults of its fields then fill it.

    Where the object has a rule of its own the API server wants a default that obeys it as it is.
    """
    if out.get("type") == "object":
        if "properties" not in out or out.get("required") or "default" not in node:
            return {}
        return {"default": node["default"] if "x-kubernetes-validations" in out else {}}
    if node.get("default") is None:
        return {}
    return {"default": node["default"]}


def _without_defaults(node: Schema) -> Schema:
    """Status is written whole by the operator; the keys of list maps must then be required."""
    out: Schema = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _without_defaults(each) for name, each in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            out[key] = _without_defaults(value)
        elif key != "default":
            out[key] = value
    for name in node.get("x-kubernetes-list-map-keys", ()):
        out["items"]["required"] = sorted({*out["items"].get("required", ()), name})
    return out


def to_yaml() -> str:
    """The object as it is checked in."""
    body = yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=100)
    return HEADER + body


if __name__ == "__main__":
    sys.stdout.write(to_yaml())
