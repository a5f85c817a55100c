"""The holder: it keeps the namespaces, and its end is the end of everything inside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sluice_local import mark
from sluice_local.control import Control
from sluice_local.errors import HolderError, NotRunningError
from sluice_local.layout import Layout
from sluice_local.process import ProcessIdentity

LOCAL = Path(mark.__file__).parents[1]
SLEEP = shutil.which("sleep") or "/bin/sleep"

# In an interpreter of its own: namespaces need one without threads.
START = """
import sys; from pathlib import Path
from sluice_local import holding; from sluice_local.layout import Layout
from sluice_local.record import Record, write_record
layout = Layout(Path(sys.argv[1]))
try:
    plan = holding.choose_plan()
except Exception as error:
    print("refused", error); sys.exit()
print("ended", holding.clean_leftovers(layout))
holding.fresh_state(layout)
holder = holding.start_holder(layout, plan)
write_record(layout.record, Record(holder, {}))
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        threading.Event().wait(0.02)


class Checkout:
    """A copy of the scripts, for the holder finds its state directory by its own path."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(LOCAL / "sluice_local", folder / "k8s" / "local" / "sluice_local")
        shutil.copy(LOCAL / "cluster.py", folder / "k8s" / "local")
        self.layout = Layout(folder.resolve())
        self.control = Control(self.layout)

    def start(self) -> str:
        path = str(self.layout.checkout / "k8s" / "local")
        result = subprocess.run(
            [sys.executable, "-c", START, str(self.layout.checkout)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if result.stdout.startswith("refused"):
            pytest.skip(f"NOT TESTED: {result.stdout}")
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def sleeper(self, name: str = "sleeper") -> ProcessIdentity:
        pid = self.control.start(name, [SLEEP, "600"], dict(os.environ), self.layout.log_of(name))
        identity = ProcessIdentity.of(pid)
        assert identity is not None
        return identity


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    one = Checkout(tmp_path)
    one.start()
    yield one
    try:
        one.control.quit()
    except NotRunningError:
        mark.sweep(one.layout.mark, 5.0)
    wait_for(lambda: not mark.marked(one.layout.mark))


def test_a_component_runs_in_the_network_of_the_holder(checkout: Checkout) -> None:
    pid = checkout.sleeper().pid
    inner = os.readlink(f"/proc/{pid}/ns/net")
    assert inner == os.readlink(f"/proc/{checkout.control.holder_pid()}/ns/net")
    assert inner != os.readlink("/proc/self/ns/net")


def test_how_a_component_ended_is_remembered(checkout: Checkout) -> None:
    checkout.sleeper()
    assert checkout.control.stop(["sleeper"], 5.0) == []
    assert checkout.control.components()["sleeper"].verdict == "killed by SIGTERM"
    log = checkout.layout.log_of("false")
    checkout.control.start("false", ["/bin/sh", "-c", "echo why; exit 3"], {}, log)
    checkout.control.wait_ended(["false"], 5.0)
    assert checkout.control.components()["false"].verdict == "exited 3"
    assert log.read_text() == "why\n"


def test_one_that_ignores_sigterm_is_killed_after_its_grace(checkout: Checkout) -> None:
    words = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]
    log = checkout.layout.log_of("deaf")
    checkout.control.start("deaf", words, dict(os.environ), log)
    wait_for(lambda: log.read_text() == "deaf\n")
    assert checkout.control.stop(["deaf"], 0.1) == ["deaf"]
    assert checkout.control.components()["deaf"].verdict == "killed by SIGKILL"


def test_a_program_that_does_not_exist_is_named_in_its_log(checkout: Checkout) -> None:
    log = checkout.layout.log_of("nothing")
    checkout.control.start("nothing", ["/no/such/program"], {}, log)
    assert checkout.control.wait_ended(["nothing"], 5.0) == []
    assert "/no/such/program" in log.read_text()


def test_the_same_component_cannot_run_twice(checkout: Checkout) -> None:
    checkout.sleeper()
    with pytest.raises(HolderError, match="already running"):
        checkout.sleeper()


def test_a_holder_killed_with_sigkill_takes_everything_along(checkout: Checkout) -> None:
    child = checkout.sleeper()
    os.kill(checkout.control.holder_pid(), signal.SIGKILL)
    wait_for(lambda: not child.alive)
    with pytest.raises(NotRunningError):
        checkout.control.components()


@pytest.mark.parametrize("text", [None, "{", '{"version": 1, "holder": 5}'])
def test_the_next_start_ends_what_a_lost_run_left(checkout: Checkout, text: str | None) -> None:
    child = checkout.sleeper()
    # The holder lives, but nobody can ask it, and the state file is missing or garbage.
    checkout.layout.control.unlink()
    checkout.layout.record.unlink()
    if text is not None:
        checkout.layout.record.write_text(text)
    told = checkout.start()
    assert not child.alive
    assert int(told.removeprefix("ended ")) >= 2
    assert checkout.control.components() == {}


def test_a_record_that_names_a_strangers_process_ends_nobody(checkout: Checkout) -> None:
    text = checkout.layout.record.read_text()
    checkout.control.quit()
    wait_for(lambda: not mark.marked(checkout.layout.mark))
    with subprocess.Popen([SLEEP, "600"]) as stranger:
        me = ProcessIdentity.of(stranger.pid)
        assert me is not None
        number = text.split('"pid": ')[1].split(",")[0]
        checkout.layout.record.write_text(text.replace(number, str(stranger.pid), 1))
        checkout.start()
        assert me.alive
        stranger.kill()


def test_two_checkouts_do_not_touch_each_other(checkout: Checkout, tmp_path: Path) -> None:
    child = checkout.sleeper()
    other = Checkout(tmp_path / "other")
    other.start()
    second = other.sleeper()
    other.control.quit()
    wait_for(lambda: not second.alive)
    assert child.alive


def test_a_request_that_it_does_not_know_is_refused(checkout: Checkout) -> None:
    with pytest.raises(HolderError, match="no such operation"):
        checkout.control._ask({"op": "no such operation"})
