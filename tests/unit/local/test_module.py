"""The key of a build: equal sources, equal key; any change, another key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sluice_local.module import CONTROLPLANE, HELM, MODULES, is_source, key_of, source_files

FILES = [("go.mod", b"module m\n"), ("main.go", b"package main\n")]


def test_equal_files_flags_and_machine_give_the_same_key() -> None:
    assert key_of(CONTROLPLANE, FILES, "x86_64") == key_of(CONTROLPLANE, list(FILES), "x86_64")


def test_another_flag_machine_or_module_gives_another_key() -> None:
    keys = {
        key_of(CONTROLPLANE, FILES, "x86_64"),
        key_of(CONTROLPLANE, FILES, "aarch64"),
        key_of(HELM, FILES, "x86_64"),
        key_of(replace(CONTROLPLANE, flags=("-trimpath",)), FILES, "x86_64"),
    }
    assert len(keys) == 4


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_the_border_between_two_files_counts(left: bytes, right: bytes) -> None:
    apart = key_of(HELM, [("a", left), ("b", right)], "m")
    together = key_of(HELM, [("a", left + b"b" + right)], "m")
    moved = key_of(HELM, [("a", left + right), ("b", b"")], "m")
    assert apart != together
    assert (apart == moved) == (right == b"")


def test_tests_their_data_and_prose_do_not_count() -> None:
    assert is_source(Path("node/run.go"))
    assert is_source(Path("go.sum"))
    assert not is_source(Path("node/run_test.go"))
    assert not is_source(Path("node/testdata/pod.yaml"))
    assert not is_source(Path("README.md"))
    assert not is_source(Path(".swp"))


def test_files_are_taken_in_one_order(tmp_path: Path) -> None:
    for name in ("b.go", "a.go", "c_test.go"):
        (tmp_path / name).write_text(name)
    assert [path.name for path in source_files(tmp_path)] == ["a.go", "b.go"]


def test_every_program_has_its_package() -> None:
    for module in MODULES:
        assert len(module.programs) == len(module.packages), module.name
        assert "-trimpath" in module.flags
