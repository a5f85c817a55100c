"""Removing what pods left: closed folders go, what links point to stays."""

from __future__ import annotations

from pathlib import Path

from sluice_local.tree import remove_tree


def test_closed_folders_go(tmp_path: Path) -> None:
    root = tmp_path / "state"
    inner = root / "overlay" / "work"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0o000)
    inner.parent.chmod(0o500)
    remove_tree(root)
    assert not root.exists()


def test_what_a_link_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    root = tmp_path / "state"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "precious")
    remove_tree(root)
    remove_tree(root)
    assert (tmp_path / "precious" / "file").exists()


def test_a_link_in_place_of_the_tree_is_only_unlinked(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "precious")
    remove_tree(tmp_path / "state")
    assert (tmp_path / "precious").exists()
    assert not (tmp_path / "state").is_symlink()
