"""The three Go modules that make the cluster's programs, and the key of what each builds to.

Law: the key covers everything that goes into the programs, so equal keys mean equal programs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

KUBERNETES_VERSION = "v1.36.2"
PROMETHEUS_VERSION = "3.16.0"
_COMPONENT_VERSION = "k8s.io/component-base/version.git"


@dataclass(frozen=True, slots=True)
class Module:
    """One Go module: what to build in it and how."""

    name: str
    title: str
    flags: tuple[str, ...]
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    """File names that the build leaves; one for each package."""


CONTROLPLANE = Module(
    name="controlplane",
    title="Kubernetes control plane and process node",
    flags=(
        "-trimpath",
        "-ldflags",
        f"-s -w -X {_COMPONENT_VERSION}Version={KUBERNETES_VERSION}"
        f" -X {_COMPONENT_VERSION}Major=1 -X {_COMPONENT_VERSION}Minor=36",
    ),
    packages=(".",),
    programs=("sluice-k8s",),
)
PROMETHEUS = Module(
    name="prometheus",
    title="Prometheus and promtool",
    flags=(
        "-trimpath",
        "-tags",
        "remove_all_sd,enable_kubernetes_sd",
        "-ldflags",
        f"-s -w -X github.com/prometheus/common/version.Version={PROMETHEUS_VERSION}",
    ),
    packages=(
        "github.com/prometheus/prometheus/cmd/prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
    ),
    programs=("prometheus", "promtool"),
)
HELM = Module(
    name="helm",
    title="Helm",
    flags=("-trimpath", "-ldflags", "-s -w"),
    packages=("helm.sh/helm/v4/cmd/helm",),
    programs=("helm",),
)
MODULES = (CONTROLPLANE, PROMETHEUS, HELM)


def is_source(path: Path) -> bool:
    """Whether a file of a module goes into its programs: not tests, not their data, not prose."""
    if path.name.startswith(".") or path.name.endswith(("_test.go", ".md")):
        return False
    return "testdata" not in path.parts


def source_files(directory: Path) -> list[Path]:
    """The files of a module that its programs depend on, in order."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return sorted(path for path in files if is_source(path.relative_to(directory)))


def key_of(module: Module, files: Iterable[tuple[str, bytes]], machine: str) -> str:
    """A name for what this module builds to, from (relative path, content) pairs.

    Returns:
        The module's name and 16 hexadecimal digits.
    """
    digest = sha256()
    for part in (module.name, machine, *module.flags, *module.packages):
        digest.update(part.encode() + b"\0")
    for path, content in files:
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{module.name}-{digest.hexdigest()[:16]}"


def module_key(module: Module, directory: Path) -> str:
    """`key_of` for the files on disk and this machine."""
    pairs = (
        (path.relative_to(directory).as_posix(), path.read_bytes())
        for path in source_files(directory)
    )
    return key_of(module, pairs, platform.machine())
