"""A start that cannot succeed ends with one line that says what to do, and exit 2."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kubernetes import client as library

from embedding_operator.__main__ import check
from embedding_operator.clients.apiserver import ApiServer
from embedding_operator.errors import CannotStart, ClusterError, Forbidden, Missing


def start(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(root / "nowhere"), **variables}
    environment.pop("KUBECONFIG", None)
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    command = [sys.executable, "-m", "embedding_operator"]
    return subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_cluster(root: Path) -> None:
    ended = start(root)
    assert ended.returncode == 2
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("sluice-operator: cannot start: no cluster is configured")
    assert "KUBECONFIG" in line


def test_with_a_wrong_setting(root: Path) -> None:
    ended = start(root, SLUICE_LOG_LEVEL="loud")
    assert ended.returncode == 2
    assert "SLUICE_LOG_LEVEL is 'loud'" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Missing("404"), "install the chart, or run kubectl apply --server-side -f k8s/crd"),
        (Forbidden("embeddingservices is forbidden"), "Install the chart's roles"),
        (ClusterError("no answer"), "Is the cluster up"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception, advice: str
) -> None:
    async def fail(_: ApiServer) -> None:
        raise error

    monkeypatch.setattr(ApiServer, "services", fail)
    cluster = ApiServer(library.ApiClient(library.Configuration(host="http://127.0.0.1:1")))
    with pytest.raises(CannotStart, match=advice):
        asyncio.run(check(cluster))
