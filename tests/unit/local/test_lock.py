"""The lock: one at a time, the waiter is told who, and a killed holder leaves it free."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sluice_local import lock
from sluice_local.errors import BusyError

HOLD = (
    "import sys; from pathlib import Path; from sluice_local.lock import locked\n"
    "with locked(Path(sys.argv[1]), wait_seconds=0, waiting=print):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


def holder(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(lock.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path, told = tmp_path / "below" / "lock", list[str]()
    with holder(path) as child:
        with (
            pytest.raises(BusyError, match=f"process {child.pid}"),
            lock.locked(path, wait_seconds=0.0, waiting=told.append),
        ):
            pass
        child.communicate("")
    assert told == [f"process {child.pid}"]


def test_a_killed_holder_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as child:
        child.kill()
        child.wait(10)
        with lock.locked(path, wait_seconds=0.0, waiting=pytest.fail):
            assert path.read_text() == str(os.getpid())


def test_the_waiter_gets_it_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as child:
        assert child.stdin is not None
        # The holder leaves as soon as its waiter has been announced.
        with lock.locked(path, wait_seconds=20.0, waiting=lambda _: child.stdin.close()):  # type: ignore[union-attr]
            assert child.wait(10) == 0
