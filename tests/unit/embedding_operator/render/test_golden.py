"""Every child of two services, byte by byte: a change here restarts pods of real users.

UPDATE_GOLDEN=1 writes the files again; look at the difference before you commit it.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_contract.tuning import TuningFile
from embedding_operator.render.desired import desired
from fakes.plans import CPU, GPU, plan

SPECS = {"gpu": GPU, "cpu": CPU}


def _rendered(spec: dict[str, Any]) -> str:
    made = plan(**spec)
    return yaml.safe_dump_all(desired(made, TuningFile(7, made.spec.setting)), sort_keys=False)


@pytest.mark.parametrize("name", SPECS)
def test_the_children_are_what_they_were(root: Path, name: str) -> None:
    golden = root / f"tests/golden/{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(_rendered(SPECS[name]))
    assert _rendered(SPECS[name]) == golden.read_text()
