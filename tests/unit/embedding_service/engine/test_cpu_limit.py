"""The container's quota counts, not the host's cores."""

import os
from pathlib import Path

import pytest

from embedding_service.engine.cpu_limit import (
    cpu_limit_cores,
    memory_limit_bytes,
    throttled_seconds,
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_stated_limit_wins(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "400000 100000\n")
    assert cpu_limit_cores(1.5, tmp_path) == 1.5


def test_the_quota_of_cgroup_v2_is_read(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "250000 100000\n")
    assert cpu_limit_cores(None, tmp_path) == 2.5


def test_the_quota_of_cgroup_v1_is_read(tmp_path: Path) -> None:
    write(tmp_path / "cpu/cpu.cfs_quota_us", "300000\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_limit_cores(None, tmp_path) == 3.0


@pytest.mark.parametrize("name", ["cpu.max", "cpu/cpu.cfs_quota_us"])
def test_without_a_quota_the_affinity_counts(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "max 100000\n" if name == "cpu.max" else "-1\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert cpu_limit_cores(None, tmp_path) == len(os.sched_getaffinity(0))


def test_throttling_is_read_in_seconds(tmp_path: Path) -> None:
    assert throttled_seconds(tmp_path) == 0.0
    write(tmp_path / "cpu/cpu.stat", "nr_periods 5\nthrottled_time 2500000000\n")
    assert throttled_seconds(tmp_path) == 2.5
    write(tmp_path / "cpu.stat", "usage_usec 9\nthrottled_usec 1500000\n")
    assert throttled_seconds(tmp_path) == 1.5


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_limit_is_the_containers(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "1048576\n")
    assert memory_limit_bytes(tmp_path) == 1048576


@pytest.mark.parametrize("text", ["max\n", f"{2**63 - 4096}\n", ""])
def test_without_a_memory_limit_the_machines_memory_counts(tmp_path: Path, text: str) -> None:
    write(tmp_path / "memory.max", text)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_limit_bytes(tmp_path) == machine
