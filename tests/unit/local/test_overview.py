"""The table: what runs, what died and how."""

from __future__ import annotations

import pytest
from sluice_local import component, overview
from sluice_local.control import Component


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (192, "3m12s"), (3600, "1h0m"), (90061, "1d1h"), (-3, "0s")],
)
def test_a_duration_shows_its_two_largest_units(seconds: float, text: str) -> None:
    assert overview.duration(seconds) == text


def test_each_component_has_its_line_whether_it_runs_or_not() -> None:
    known = {
        "etcd": Component("etcd", 7, started=100.0, ended=None, status=None),
        "kube-apiserver": Component("kube-apiserver", 8, started=100.0, ended=150.0, status=-9),
        "prometheus": Component("prometheus", 9, started=100.0, ended=150.0, status=2),
    }
    lines = {row.component: row for row in overview.rows(known, now=160.0)}
    assert list(lines) == list(component.ORDER)
    assert (lines["etcd"].pid, lines["etcd"].state, lines["etcd"].since) == ("7", "running", "1m0s")
    assert (lines["kube-apiserver"].pid, lines["kube-apiserver"].state) == (
        "-",
        "killed by SIGKILL",
    )
    assert (lines["prometheus"].state, lines["prometheus"].since) == ("exited 2", "10s")
    assert lines["kube-scheduler"].state == "not started"
    text = overview.table(list(lines.values())).splitlines()
    assert len(text) == len(component.ORDER) + 1
    assert len({line.index("running") for line in text if "running" in line}) == 1


def test_the_node_is_described_with_its_gpus_and_its_condition() -> None:
    node = {
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "2", "nvidia.com/gpu": "1", "hugepages-1Gi": "0"},
        }
    }
    text = overview.describe_node(node)
    assert "Ready" in text
    assert "nvidia.com/gpu 1" in text
    assert "hugepages" not in text
    node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    assert "NOT ready" in overview.describe_node(node)
    assert overview.describe_node(None) == "node: unknown"
