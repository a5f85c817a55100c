"""Nothing is sent to a cluster that is not the local one."""

from pathlib import Path

import pytest
import yaml
from inside.errors import WrongPlaceError
from inside.place import is_process_node, local_cluster


def kubeconfig(folder: Path, server: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_no_kubeconfig_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(WrongPlaceError, match=r"no usable kubeconfig.*cluster.py up"):
        local_cluster()


def test_another_clusters_address_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubeconfig(tmp_path, "https://127.0.0.1:1")
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(WrongPlaceError, match=r"127\.0\.0\.1:1, not 10\.244\.0\.1"):
        local_cluster()


@pytest.mark.parametrize(
    "metadata", [{}, {"labels": {}}, {"labels": {"sluice.dev/process-node": "false"}}]
)
def test_a_node_without_the_label_is_no_process_node(
    metadata: dict[str, dict[str, str]],
) -> None:
    assert not is_process_node(metadata)
    assert is_process_node({"labels": {"sluice.dev/process-node": "true"}})
