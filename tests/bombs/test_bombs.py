"""Bombs: the right code, and no more memory than the largest legitimate picture takes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from inside.targets import Targets

from bombs.bombs import bombs
from fuzz.runner import MODULES

REPORT: Final = Path(__file__).parents[2] / "reports/bombs.json"
SLACK_BYTES: Final = 16 << 20
BOMBS = bombs()


@pytest.fixture(scope="module")
def weights() -> dict[str, dict[str, dict[str, Any]]]:
    """What each file cost in a process of its own, and the figures kept for a person."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "bombs.weigh"], capture_output=True, check=True, timeout=240,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(MODULES)},
        ).stdout
    )  # fmt: skip
    limit = heaviest(found)
    targets = Targets()
    for name, weight in found["bombs"].items():
        right = weight["outcome"] in BOMBS[name].right
        targets.seen(f"{name}, outcome", "code", weight["outcome"], "stated", met=right)
        targets.most(f"{name}, memory", "MiB", weight["growth_bytes"] / 2**20, limit / 2**20)
    targets.write(REPORT)
    return found


def heaviest(weights: dict[str, dict[str, dict[str, Any]]]) -> int:
    """The yardstick: bytes that the heaviest legitimate picture of the limit's size takes."""
    return SLACK_BYTES + max(int(one["growth_bytes"]) for one in weights["yardsticks"].values())


def test_the_yardsticks_are_pictures_and_weigh_something(
    weights: dict[str, dict[str, dict[str, Any]]],
) -> None:
    assert {one["outcome"] for one in weights["yardsticks"].values()} == {"pixels"}
    assert 32 << 20 < heaviest(weights) < 1 << 30


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_gets_its_code_and_no_more_memory_than_a_picture(
    weights: dict[str, dict[str, dict[str, Any]]], name: str
) -> None:
    weight = weights["bombs"][name]
    assert weight["outcome"] in BOMBS[name].right
    assert weight["growth_bytes"] <= heaviest(weights)
