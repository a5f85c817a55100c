"""Namespaces: made and entered for real where the machine allows it, skipped loudly elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sluice_local import namespaces
from sluice_local.namespaces import Plan, identity_map, plans

LIBRARY = str(Path(namespaces.__file__).parents[1])


def python(code: str, *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh single-threaded interpreter, as namespaces need it."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": LIBRARY},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The best plan of this machine."""
    result = python(
        "import os, json; from sluice_local import namespaces as n\n"
        "plan, refusal = n.probe(os.geteuid())\n"
        "print(json.dumps([plan and [plan.user, plan.pid], refusal and refusal.call]))"
    )
    found, refused = json.loads(result.stdout)
    if found is None:
        pytest.skip(f"NOT TESTED: this machine refuses namespaces ({refused})")
    return Plan(user=found[0], pid=found[1])


def test_a_map_keeps_every_id_and_does_not_look_like_the_first_namespace() -> None:
    assert identity_map("         0          0 4294967295\n") == "0 0 1\n1 1 4294967294\n"
    assert identity_map("0 1000 1\n") == "0 0 1\n"
    assert identity_map("0 1000 1\n1 100000 65536\n") == "0 0 1\n1 1 1\n2 2 65535\n"


def test_a_user_namespace_is_always_tried_first_and_only_root_goes_without() -> None:
    assert plans(1000) == (Plan(user=True, pid=True), Plan(user=True, pid=False))
    assert plans(0)[:2] == plans(1000)
    assert {plan.user for plan in plans(0)[2:]} == {False}


def test_a_fresh_network_has_no_way_out(plan: Plan) -> None:
    result = python(
        "import socket; from sluice_local import namespaces as n\n"
        f"n.make(n.Plan(user={plan.user}, pid={plan.pid}))\n"
        "print([name for _, name in socket.if_nameindex()])\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as error:\n    print(error.strerror)"
    )
    assert result.stdout.splitlines() == ["['lo']", "Network is unreachable"], result.stderr


def test_the_maker_becomes_root_inside_and_keeps_its_files(plan: Plan, tmp_path: Path) -> None:
    result = python(
        "import os; from sluice_local import namespaces as n\n"
        f"n.make(n.Plan(user={plan.user}, pid={plan.pid}))\n"
        "open('made', 'w').close(); print(os.getuid(), os.stat('made').st_uid)",
        folder=tmp_path,
    )
    assert result.stdout.split() == ["0", "0"], result.stderr
    assert (tmp_path / "made").stat().st_uid == os.getuid()


def test_a_refused_call_is_named() -> None:
    result = python(
        "from sluice_local import syscalls\n"
        "try:\n    syscalls.setns(0, syscalls.CLONE_NEWNET)\n"
        "except OSError as error:\n    print(error.filename, error.errno)"
    )
    assert result.stdout.startswith("setns(CLONE_NEWNET) "), result.stderr
