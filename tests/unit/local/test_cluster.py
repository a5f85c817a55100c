"""The command line: words in, one call out, exit statuses that scripts can use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cluster
import pytest
from sluice_local.layout import Layout


def run(*words: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    """cluster.py of a checkout that has nothing but the scripts."""
    target = checkout / "k8s" / "local"
    if not target.exists():
        target.parent.mkdir(parents=True)
        target.symlink_to(Path(cluster.__file__).parent)
    code = (
        "import sys, cluster; from pathlib import Path\n"
        "from sluice_local.layout import Layout\n"
        f"Layout.of_this_checkout = classmethod(lambda cls: cls(Path({str(checkout)!r})))\n"
        "sys.exit(cluster.main(sys.argv[1:]))"
    )
    env = {**os.environ, "PYTHONPATH": str(target), "SLUICE_CACHE": str(checkout / "cache")}
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False
    )


def test_without_a_cluster_status_says_so_with_a_status_of_its_own(tmp_path: Path) -> None:
    result = run("status", checkout=tmp_path)
    assert result.returncode == 3
    assert "not running: start it with `up`" in result.stdout


@pytest.mark.parametrize("words", [("kubectl", "get", "pods"), ("run", "true"), ("stop", "etcd")])
def test_without_a_cluster_commands_say_how_to_start_it(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    result = run(*words, checkout=tmp_path)
    assert result.returncode == 1
    assert "start it with `up`" in result.stderr


def test_down_without_a_cluster_is_no_error(tmp_path: Path) -> None:
    assert run("down", checkout=tmp_path).returncode == 0


def test_a_component_that_does_not_exist_is_refused_with_the_list(tmp_path: Path) -> None:
    result = run("logs", "nope", checkout=tmp_path)
    assert result.returncode == 2
    assert "kube-apiserver" in result.stderr


def test_env_prints_what_tools_need(tmp_path: Path) -> None:
    lines = run("env", checkout=tmp_path).stdout.splitlines()
    assert "export SLUICE_PROMETHEUS_ADDRESS=http://10.244.0.1:9090" in lines
    assert any(line.startswith("export KUBECONFIG=") for line in lines)
    assert any(line.startswith("export PATH=") for line in lines)


def test_every_word_of_the_command_line_has_its_method() -> None:
    text = cluster.parser().format_help()
    for word in (
        "build",
        "test",
        "up",
        "down",
        "status",
        "start",
        "stop",
        "restart",
        "logs",
        "env",
    ):
        assert word in text
        assert callable(getattr(cluster.Command, word))


def test_logs_prints_the_end_of_the_log(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir(parents=True)
    layout.log_of("etcd").write_text("one\ntwo\nthree\n")
    assert run("logs", "etcd", "-n", "2", checkout=tmp_path).stdout == "two\nthree\n"
