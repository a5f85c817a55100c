"""The chart agrees with the rest of the project and installs only what it must."""

import re
import tomllib
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agreement.chart import CHART, CRD, container, only, render, run_helm


def test_the_charts_crd_is_the_projects_crd() -> None:
    copy = CHART / "files/embeddingservices.yaml"
    assert copy.read_text() == CRD.read_text(), "run: make generate"


def test_the_installed_crd_is_the_projects_crd_with_helms_labels() -> None:
    installed, ours = only(render(), "CustomResourceDefinition"), yaml.safe_load(CRD.read_text())
    assert installed["spec"] == ours["spec"]
    assert installed["metadata"]["name"] == ours["metadata"]["name"]
    assert installed["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_crd_can_be_left_out_or_be_removed_with_the_chart() -> None:
    kinds = {document["kind"] for document in render("--set", "crds.install=false")}
    assert "CustomResourceDefinition" not in kinds
    crd = only(render("--set", "crds.keep=false"), "CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in crd["metadata"].get("annotations", {})


def test_helm_finds_nothing_to_complain_about() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART))


def test_the_version_is_the_projects_version(root: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version
    operator = container(render())
    assert operator["image"] == f"sluice/operator:{version}"
    variables = {entry["name"]: entry["value"] for entry in operator["env"]}
    assert variables["SLUICE_SERVER_IMAGE"] == f"sluice/server:{version}"


def test_an_image_reference_takes_a_registry_and_prefers_a_digest() -> None:
    digest = "sha256:" + "a" * 64
    shown = render("--set", f"image.registry=r.example/x,image.digest={digest}")
    assert container(shown)["image"] == f"r.example/x/sluice/operator@{digest}"


def test_the_command_is_a_script_of_the_distribution(root: Path) -> None:
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert container(render())["command"] == ["sluice-operator"]
    assert "sluice-operator" in scripts


def test_the_operator_reads_every_variable_that_the_chart_sets(root: Path) -> None:
    source = (root / "operator/embedding_operator/settings.py").read_text()
    variables = {entry["name"] for entry in container(render())["env"]}
    assert not {name for name in variables if name not in source}


def test_values_reach_the_operator() -> None:
    shown = render(
        "--set", "prometheus.address=http://prometheus:9090",
        "--set", "watchNamespaces={a,b}",
        "--set", "resyncSeconds=30,logLevel=debug",
    )  # fmt: skip
    variables = {entry["name"]: entry["value"] for entry in container(shown)["env"]}
    assert variables["SLUICE_PROMETHEUS_ADDRESS"] == "http://prometheus:9090"
    assert variables["SLUICE_NAMESPACES"] == "a,b"
    assert variables["SLUICE_RESYNC_SECONDS"] == "30"
    assert variables["SLUICE_LOG_LEVEL"] == "debug"


def test_one_operator_at_a_time() -> None:
    spec = only(render(), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_pod_meets_the_restricted_standard() -> None:
    shown = render()
    pod, operator = only(shown, "Deployment")["spec"]["template"]["spec"], container(shown)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert operator["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {probe for probe in operator if probe.endswith("Probe")} == {
        "startupProbe", "readinessProbe", "livenessProbe",
    }  # fmt: skip


def test_a_list_of_namespaces_gives_no_right_outside_them() -> None:
    shown = render("--set", "watchNamespaces={a,b}")
    assert not [each for each in shown if each["kind"].startswith("ClusterRole")]
    roles = [each for each in shown if each["kind"] == "Role"]
    assert [each["metadata"]["namespace"] for each in roles] == ["a", "b"]
    granted = {
        resource for role in roles for rule in role["rules"] for resource in rule["resources"]
    }
    assert not granted & {"namespaces", "customresourcedefinitions"}


def test_no_role_reaches_for_more_than_it_names() -> None:
    rules = [
        rule
        for document in render()
        if document["kind"] in ("Role", "ClusterRole")
        for rule in document["rules"]
    ]
    assert rules
    for rule in rules:
        granted = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not granted & {"*", "secrets", "pods/exec", "escalate", "bind", "impersonate"}


def test_the_roles_can_be_made_by_somebody_else() -> None:
    shown = render(
        "--set", "rbac.create=false,serviceAccount.create=false,serviceAccount.name=mine"
    )
    assert not [each for each in shown if "Role" in each["kind"]]
    pod = only(shown, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "mine"


def test_the_notes_say_what_to_do_next() -> None:
    notes = run_helm("install", "sluice", str(CHART), "--namespace", "x", "--dry-run=client")
    assert "kubectl -n x rollout status deployment/sluice-operator" in notes
    assert "kubectl apply -f -" in notes


@settings(max_examples=6, deadline=None)
@given(st.from_regex(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True))
def test_any_release_name_gives_names_that_kubernetes_takes(release: str) -> None:
    for document in render(release=release):
        name = document["metadata"]["name"]
        if document["kind"] != "CustomResourceDefinition":
            assert len(name) <= 63
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
