"""Bringing up: the guilty component is named with its words, and what began can be ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sluice_local import mark
from sluice_local.build import Builder
from sluice_local.cache import Cache
from sluice_local.component import Programs
from sluice_local.layout import Layout
from sluice_local.progress import Reporter
from sluice_local.startup import link_programs, node_is_ready

LOCAL = Path(mark.__file__).parents[1]

# Stands for the one binary of Kubernetes: its etcd dies with a word on why.
PROGRAM = """#!/bin/sh
case $1 in
network) exit 0 ;;
pki) mkdir -p "${2#--dir=}" ;;
etcd) echo "no space left"; exit 4 ;;
*) exec sleep 600 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose programs are built already, and are stand-ins."""
    local = tmp_path / "k8s" / "local"
    shutil.copytree(LOCAL / "sluice_local", local / "sluice_local")
    for name in ("cluster.py", "prometheus.yaml"):
        shutil.copy(LOCAL / name, local)
    for name in ("controlplane", "prometheus", "helm"):
        (local / name).mkdir()
        (local / name / "go.mod").write_text("module m\n\ngo 1.26.0\n")
    cache = Cache(tmp_path / "cache")
    names = {"controlplane": ["sluice-k8s"], "prometheus": ["prometheus", "promtool"]}
    names["helm"] = ["helm"]
    for module, key in Builder(local, cache, Reporter()).keys().items():
        for name in names[module]:
            program = cache.directory(key) / name
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text(PROGRAM)
            program.chmod(0o755)
    return tmp_path


def cluster(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(checkout / "k8s" / "local" / "cluster.py"), *words],
        env={**os.environ, "SLUICE_CACHE": str(checkout / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_component_that_dies_is_named_with_its_last_words_and_its_log(checkout: Path) -> None:
    result = cluster(checkout, "up")
    if "refuses the namespaces" in result.stderr:
        pytest.skip(f"NOT TESTED: {result.stderr}")
    assert result.returncode == 1
    assert "etcd: exited 4" in result.stderr
    assert "| no space left" in result.stderr
    assert str(Layout(checkout.resolve()).log_of("etcd")) in result.stderr
    assert "Traceback" not in result.stderr
    shown = cluster(checkout, "status")
    assert shown.returncode == 1
    assert "exited 4" in shown.stdout
    assert cluster(checkout, "down").returncode == 0
    assert mark.marked(Layout(checkout.resolve()).mark) == []
    assert cluster(checkout, "status").returncode == 3


def test_kubectl_is_a_small_script_over_the_one_binary(tmp_path: Path) -> None:
    program = tmp_path / "it's here" / "sluice-k8s"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    layout = Layout(tmp_path)
    layout.state.mkdir(parents=True)
    link_programs(layout, Programs(program, program, program, program))
    kubectl = str(layout.links / "kubectl")
    result = subprocess.run([kubectl, "get", "a b"], capture_output=True, text=True, check=True)
    assert result.stdout == "kubectl get a b\n"
    assert (layout.links / "helm").resolve() == program


def test_a_node_is_ready_only_by_its_condition() -> None:
    def node(status: str) -> dict[str, object]:
        return {"status": {"conditions": [{"type": "Ready", "status": status}]}}

    assert node_is_ready(node("True"))
    assert not node_is_ready(node("Unknown"))
    assert not node_is_ready({"status": {}})
    assert not node_is_ready("gone")
