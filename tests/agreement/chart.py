"""The chart as Helm renders it: one call gives the manifests that an installation would make."""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sluice_local.build import Builder
from sluice_local.cache import Cache, cache_root
from sluice_local.module import HELM
from sluice_local.progress import Reporter

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/sluice"
CRD = ROOT / "k8s/crd/embeddingservices.yaml"


class ChartRefusedError(RuntimeError):
    """Helm would not render the chart; the text is Helm's own."""


@cache
def helm() -> Path:
    """Helm of the local cluster, built once a machine."""
    builder = Builder(ROOT / "k8s/local", Cache(cache_root(os.environ)), Reporter())
    return builder.build((HELM,))[HELM.name] / "helm"


@cache
def run_helm(*arguments: str) -> str:
    """Run Helm without a cluster; the same words are run once.

    Raises:
        ChartRefusedError: with what Helm said.
    """
    command = [str(helm()), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise ChartRefusedError(done.stdout + done.stderr)
    return done.stdout


def render(*arguments: str, release: str = "sluice") -> list[dict[str, Any]]:
    """Return the manifests of an installation into namespace sluice-system."""
    text = run_helm("template", release, str(CHART), "--namespace", "sluice-system", *arguments)
    return [document for document in yaml.safe_load_all(text) if document]


def only(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one manifest of a kind."""
    found = [document for document in documents if document["kind"] == kind]
    assert len(found) == 1, f"{len(found)} manifests of kind {kind}"
    return found[0]


def container(documents: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Return the operator's container."""
    pod = only(documents, "Deployment")["spec"]["template"]["spec"]
    assert len(pod["containers"]) == 1
    return dict(pod["containers"][0])
