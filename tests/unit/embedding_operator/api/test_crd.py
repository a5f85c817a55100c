"""The CRD: generated, structural, and the same as what is checked in.

Whether its rules say what they must is proven on a real API server, in the end-to-end suite.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from embedding_operator.api.crd import custom_resource_definition, to_yaml
from embedding_operator.api.spec import EmbeddingServiceSpec

CRD = custom_resource_definition()
VERSION = CRD["spec"]["versions"][0]
ROOT: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
SPEC = ROOT["properties"]["spec"]


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema node with its path."""
    yield path, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(node.get(part), dict):
            yield from nodes(node[part], f"{path}[]")


def at(path: str) -> dict[str, Any]:
    return dict(nodes(SPEC))[path]


def test_what_is_checked_in_has_not_drifted(root: Path) -> None:
    file = root / "k8s/crd/embeddingservices.yaml"
    assert file.read_text() == to_yaml(), "run: make generate"


def test_the_schema_is_structural() -> None:
    for path, node in nodes(ROOT):
        assert not {"$ref", "$defs", "title", "const", "allOf", "oneOf"} & set(node), path
        opaque = node.get("x-kubernetes-int-or-string")
        assert opaque or node["type"] in {
            "object", "array", "string", "integer", "number", "boolean",
        }, path  # fmt: skip
        assert not (node.get("properties") and "additionalProperties" in node), path


def test_every_field_of_the_spec_is_described() -> None:
    for path, node in nodes(SPEC):
        if not path.endswith("[]"):
            assert len(node["description"]) > 10, path


def test_unknown_fields_pass_only_in_raw_volumes() -> None:
    raw = [path for path, node in nodes(ROOT) if "x-kubernetes-preserve-unknown-fields" in node]
    assert raw == [".spec.model.volume", ".spec.images.volume"]


def test_defaults_of_the_schema_are_those_of_the_types() -> None:
    def filled(node: dict[str, Any], value: Any) -> Any:
        if node.get("type") != "object" or not isinstance(value, dict):
            return value
        for name, below in node.get("properties", {}).items():
            if name not in value and "default" in below:
                value[name] = below["default"]
            if name in value:
                value[name] = filled(below, dict(value[name])
                                     if isinstance(value[name], dict) else value[name])  # fmt: skip
        return value

    least = {"model": {"name": "m", "pretrained": "p"}}
    shown = EmbeddingServiceSpec.model_validate(least).model_dump(
        by_alias=True, exclude_none=True, mode="json"
    )
    # Empty maps and lists are not defaulted: absent means the same.
    empty = {"imagePullSecrets", "nodeSelector", "tolerations"}
    shown = {name: value for name, value in shown.items() if name not in empty}
    shown["resources"] = {}
    shown["images"] = {name: value for name, value in shown["images"].items() if value != []}
    assert filled(SPEC, least) == shown


@pytest.mark.parametrize(
    ("path", "limits"),
    [(".numStreams", (1, 32)), (".semaphoreSize", (1, 1024)), (".gpu.count", (0, 16))],
)
def test_bounds_are_the_contracts(path: str, limits: tuple[int, int]) -> None:
    assert (at(path)["minimum"], at(path)["maximum"]) == limits


def test_columns_are_the_promised_ones() -> None:
    columns = VERSION["additionalPrinterColumns"]
    plain = [each["name"].upper() for each in columns if not each.get("priority")]
    wide = [each["name"].upper() for each in columns if each.get("priority")]
    assert plain == ["READY", "STREAMS", "SEMAPHORE", "BOTTLENECK", "MODE", "AGE"]
    assert wide == ["REPLICAS", "MODEL"]


def test_every_path_that_a_column_or_scale_reads_exists() -> None:
    known = {path for path, _ in nodes(ROOT)} | {".metadata.creationTimestamp"}
    paths = {each["jsonPath"] for each in VERSION["additionalPrinterColumns"]}
    paths |= set(VERSION["subresources"]["scale"].values())
    assert paths <= known


def test_every_rule_says_what_to_do() -> None:
    rules = [rule for _, node in nodes(ROOT) for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) == 9
    assert all(len(rule["message"]) > 20 for rule in rules)


def test_a_default_obeys_the_rule_beside_it() -> None:
    for path, node in nodes(SPEC):
        if "x-kubernetes-validations" in node and "default" in node:
            assert node["default"], path


def test_names_are_short() -> None:
    assert CRD["spec"]["names"]["shortNames"] == ["embsvc"]
    assert CRD["spec"]["names"]["categories"] == ["sluice"]


def test_the_samples_obey_the_schema(root: Path) -> None:
    samples = sorted((root / "k8s/samples").glob("*.yaml"))
    assert samples
    for sample in samples:
        for document in yaml.safe_load_all(sample.read_text()):
            jsonschema.validate(document["spec"], _strict(SPEC))
            EmbeddingServiceSpec.model_validate(document["spec"])


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    """The schema as plain JSON Schema, where unknown fields fail as kubectl lets them fail."""
    out = {
        name: value for name, value in node.items()
        if not name.startswith("x-") and name != "exclusiveMinimum"
    }  # fmt: skip
    if "properties" in node:
        out["properties"] = {name: _strict(each) for name, each in node["properties"].items()}
        out["additionalProperties"] = False
    for part in ("items", "additionalProperties"):
        if isinstance(node.get(part), dict):
            out[part] = _strict(node[part])
    return out
