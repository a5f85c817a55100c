"""Figures with their targets."""

import json
import math
from pathlib import Path

import pytest
from inside.targets import Targets


def test_a_figure_is_met_or_missed() -> None:
    targets = Targets()
    assert targets.most("edit in force", "s", 9.9, 10).met
    assert not targets.most("edit in force", "s", 10.1, 10).met
    assert targets.least("cosine", "cosine", 0.9991, 0.999).met
    assert targets.exactly("restarts", "restarts", 0, 0).met
    assert [row.value for row in targets.missed] == [10.1]


@pytest.mark.parametrize("limit", [0.0, -1.0, 1e9])
def test_nothing_measured_meets_nothing(limit: float) -> None:
    targets = Targets()
    assert not targets.least("images/s", "1/s", math.nan, limit).met
    assert not targets.most("p95", "s", math.nan, limit).met


def test_a_figure_just_under_its_target_is_not_rounded_into_it() -> None:
    assert not Targets().least("cosine", "cosine", 0.9989999, 0.999).met


def test_the_report_is_a_list_of_figures(tmp_path: Path) -> None:
    targets = Targets()
    targets.seen("verdict", "verdict", "Kept", "Kept or RolledBack", met=True)
    targets.write(tmp_path / "reports/x.json")
    assert json.loads((tmp_path / "reports/x.json").read_text()) == [
        {
            "what": "verdict", "unit": "verdict", "target": "Kept or RolledBack",
            "value": "Kept", "met": True,
        }
    ]  # fmt: skip


def test_a_missed_target_stands_out_in_the_table() -> None:
    targets = Targets()
    targets.exactly("restarts", "restarts", 3, 0)
    head, row = targets.lines()
    assert head.split() == ["what", "value", "target", "unit"]
    assert row.split() == ["restarts", "3", "=", "0", "restarts", "MISSED"]
