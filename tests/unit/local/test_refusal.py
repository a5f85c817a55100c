"""A refusal names the call, the switch that forbids it, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from sluice_local.refusal import Refusal, explain, read_facts

NEWUSER = Refusal("unshare(CLONE_NEWUSER)", errno.EPERM)


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("kernel.unprivileged_userns_clone", 0, "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            1,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user.max_user_namespaces", 0, "sysctl -w user.max_user_namespaces=15000"),
        ("user.max_net_namespaces", 0, "sysctl -w user.max_net_namespaces=15000"),
    ],
)
def test_the_guilty_switch_is_named_with_its_cure(name: str, value: int, cure: str) -> None:
    text = explain(NEWUSER, {name: value}, euid=1000)
    assert "unshare(CLONE_NEWUSER): Operation not permitted" in text
    assert cure in text
    assert "as root" in text
    assert "helm install" in text


def test_a_switch_that_allows_it_is_not_blamed() -> None:
    text = explain(NEWUSER, {"kernel.unprivileged_userns_clone": 1}, euid=1000)
    assert "kernel.unprivileged_userns_clone" not in text
    assert "container" in text


def test_a_limit_that_is_used_up_is_shown() -> None:
    refusal = Refusal("unshare(CLONE_NEWUSER)", errno.ENOSPC)
    text = explain(refusal, {"user.max_user_namespaces": 7}, euid=1000)
    assert "user.max_user_namespaces = 7" in text


def test_root_is_not_told_to_become_root() -> None:
    text = explain(NEWUSER, {}, euid=0)
    assert "run the same command as root" not in text
    assert "CAP_SYS_ADMIN" in text


def test_a_kernel_without_namespaces_is_called_that() -> None:
    text = explain(Refusal("unshare(CLONE_NEWUSER)", errno.EINVAL), {}, euid=1000)
    assert "built without" in text


def test_facts_are_read_from_the_switches_that_exist(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "max_user_namespaces").write_text("12\n")
    assert read_facts(tmp_path) == {"user.max_user_namespaces": 12}
