"""Command lines: every component has one, and nothing listens outside the namespace's addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from sluice_local import addresses, component, furniture
from sluice_local.component import ORDER, STOP_PHASES, Programs
from sluice_local.layout import Layout

LAYOUT = Layout(Path("/co"))
PROGRAMS = Programs.of(
    {name: Path(f"/bin-{name}") for name in ("controlplane", "prometheus", "helm")}
)


@pytest.mark.parametrize("name", ORDER)
def test_every_component_has_a_command_of_full_paths(name: str) -> None:
    words = component.command(name, PROGRAMS, LAYOUT)
    assert words[0].startswith("/bin-")
    assert (words[1] == name) == (name != component.PROMETHEUS)
    assert all(word.startswith("--") for word in words[2:])


def test_the_process_node_always_offers_the_machines_gpus() -> None:
    words = component.command(component.PROCESS_NODE, PROGRAMS, LAYOUT)
    assert "--gpus=auto" in words
    assert "--path=/co/.venv/bin" in words


def test_every_component_is_stopped_once_pods_first_and_etcd_last() -> None:
    order = [name for names, _ in STOP_PHASES for name in names]
    assert sorted(order) == sorted(ORDER)
    assert order[0] == component.PROCESS_NODE
    assert order[-1] == component.ETCD
    assert sum(seconds for _, seconds in STOP_PHASES) <= 5.0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("apiserver", "kube-apiserver"), ("node", "process-node"), ("etcd", "etcd"), ("nope", None)],
)
def test_usual_short_names_are_understood(typed: str, meant: str | None) -> None:
    assert component.full_name(typed) == meant


def test_proxies_do_not_reach_the_inside() -> None:
    environ = {"HTTPS_PROXY": "x", "http_proxy": "x", "No_Proxy": "x", "LANG": "C"}
    assert component.without_proxies(environ) == {"LANG": "C"}
    env = component.component_environment(environ, LAYOUT)
    assert env["HOME"] == "/co/.sluice/cluster"


def test_components_find_the_systems_programs_after_the_persons_own() -> None:
    folders = component.component_environment({"PATH": "/own"}, LAYOUT)["PATH"].split(":")
    assert folders[0] == "/own"
    assert {"/usr/bin", "/bin", "/sbin"} <= set(folders)
    assert component.component_environment({}, LAYOUT)["PATH"].startswith("/usr/local/sbin:")


def test_prometheus_is_a_service_whose_endpoint_is_the_node() -> None:
    paths, manifests = zip(*furniture.prometheus_objects(), strict=True)
    kinds = [manifest["kind"] for manifest in manifests]
    assert kinds == ["Namespace", "Service", "EndpointSlice"]
    assert all("/monitoring/" in path for path in paths[1:])
    assert "selector" not in manifests[1]["spec"]
    assert manifests[2]["endpoints"][0]["addresses"] == [addresses.NODE_ADDRESS]
    assert manifests[2]["metadata"]["labels"]["kubernetes.io/service-name"] == "prometheus"
