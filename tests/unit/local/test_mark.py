"""The mark in a mount table: exactly ours, nobody else's."""

from __future__ import annotations

from sluice_local.mark import carries, inside

LINE = "96 31 0:52 / /co/.sluice/cluster/mark rw,nosuid shared:1 - tmpfs {source} rw,size=4k\n"


def test_a_table_with_our_source_carries_the_mark() -> None:
    table = "22 1 0:20 / /proc rw - proc proc rw\n" + LINE.format(source="sluice-cluster-a")
    assert carries(table, "sluice-cluster-a")


def test_another_clusters_mark_is_not_ours() -> None:
    assert not carries(LINE.format(source="sluice-cluster-ab"), "sluice-cluster-a")
    assert not carries("", "sluice-cluster-a")


def test_a_path_or_option_that_looks_like_the_mark_does_not_count() -> None:
    table = "96 31 0:52 / /sluice-cluster-a rw - tmpfs tmpfs rw,x=sluice-cluster-a\nodd\n"
    assert not carries(table, "sluice-cluster-a")


def test_this_process_is_not_inside_a_cluster_that_does_not_exist() -> None:
    assert not inside("sluice-cluster-none")
