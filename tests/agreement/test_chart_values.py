"""Every value of the chart is described, bounded and refused when it is wrong."""

import json
import re
from itertools import takewhile
from typing import Any

import pytest
import yaml

from agreement.chart import CHART, ChartRefusedError, render

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def named(values: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Dotted names in values.yaml, as deep as the schema describes them."""
    found: set[str] = set()
    for name, value in values.items():
        inside = schema["properties"].get(name, {})
        if isinstance(value, dict) and value and inside.get("properties"):
            found |= {f"{name}.{each}" for each in named(value, inside)}
        else:
            found.add(name)
    return found


def described(schema: dict[str, Any]) -> set[str]:
    """Dotted names in the schema. `affinity` is Kubernetes' own type and empty by default."""
    found: set[str] = set()
    for name, part in schema["properties"].items():
        if part.get("properties") and name != "affinity":
            found |= {f"{name}.{each}" for each in described(part)}
        else:
            found.add(name)
    return found


def test_values_and_schema_name_the_same_things() -> None:
    # `global` is Helm's own: a parent chart may set it.
    assert named(VALUES, SCHEMA) == described(SCHEMA) - {"global"}


def test_the_schema_leaves_no_object_open_by_accident() -> None:
    def walk(part: Any, where: str) -> list[str]:
        if not isinstance(part, dict):
            return []
        open_ = [where] if "properties" in part and part.get("additionalProperties", True) else []
        return open_ + [
            line for name, each in part.items() for line in walk(each, f"{where}.{name}")
        ]

    assert walk(SCHEMA, "") == []


def test_every_value_is_described() -> None:
    text = (CHART / "values.yaml").read_text()
    top = yaml.compose(text)
    assert isinstance(top, yaml.MappingNode)
    bare = [name for name, line in lines(top) if not comment(text, line)]
    assert [name for name in bare if name in named(VALUES, SCHEMA)] == []


def lines(node: yaml.MappingNode, above: str = "") -> list[tuple[str, int]]:
    """Dotted names with the number of the line that they stand on."""
    found: list[tuple[str, int]] = []
    for key, value in node.value:
        found.append((above + key.value, key.start_mark.line))
        if isinstance(value, yaml.MappingNode):
            found += lines(value, f"{above}{key.value}.")
    return found


def comment(text: str, line: int) -> bool:
    """Whether the block of comments right above the line is a description."""
    above = text.splitlines()[:line]
    block = list(takewhile(lambda each: each.strip().startswith("#"), reversed(above)))
    # `resources` is described as a whole, once.
    return any(each.strip().startswith("# --") for each in block) or _part_of_resources(above)


def _part_of_resources(above: list[str]) -> bool:
    sections = [each for each in above if re.match("[a-z]", each)]
    return bool(sections) and sections[-1] == "resources:"


@pytest.mark.parametrize(
    "wrong",
    [
        "replicas=2",
        "image.name=x",
        "image.tag=a b",
        "image.digest=sha256:1234",
        "image.pullPolicy=Sometimes",
        "prometheus.address=prometheus:9090",
        "watchNamespaces={Upper}",
        "resyncSeconds=1",
        "resyncSeconds=soon",
        "logLevel=loud",
        "crds.install=maybe",
        "crds.enabled=true",
        "metrics.port=0",
        "resources.limits.memory=much",
        "extraEnv[0].name=A",
        "serviceAccount.name=Not_A_Name",
        "tolerations[0].efect=NoSchedule",
    ],
)
def test_a_wrong_value_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ChartRefusedError) as refusal:
        render("--set", wrong)
    assert re.split(r"[.=\[]", wrong)[0] in str(refusal.value)


def test_a_service_account_that_nobody_makes_must_be_named() -> None:
    with pytest.raises(ChartRefusedError, match=r"name an existing one in serviceAccount\.name"):
        render("--set", "serviceAccount.create=false")
