"""A process is its number, its start and its boot: never its number alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sluice_local.process import ProcessIdentity, parse_start_ticks, parse_state


@given(st.text(max_size=15), st.integers(0, 2**62))
def test_the_start_is_read_whatever_the_command_is_called(name: str, ticks: int) -> None:
    fields = ["S", *(str(n) for n in range(18)), str(ticks), "0", "0"]
    text = f"12 ({name}) {' '.join(fields)}\n"
    assert parse_start_ticks(text) == ticks
    assert parse_state(text) == "S"


@pytest.mark.parametrize("text", ["", "12 (x) S 1 2", "no parentheses"])
def test_a_text_that_is_no_stat_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_start_ticks(text)


def test_this_process_is_alive_and_the_same() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    assert me.alive
    assert me == ProcessIdentity.of(os.getpid())


def test_the_same_number_with_another_start_or_boot_is_somebody_else() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    assert not replace(me, start_ticks=me.start_ticks + 1).alive
    assert not replace(me, boot="another").alive


def test_kill_ends_that_process_and_spares_another_of_the_same_number() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid)
        assert identity is not None
        assert replace(identity, start_ticks=1).kill(1.0)
        assert child.poll() is None
        assert identity.kill(10.0)
        assert child.wait(10) == -9
    assert not identity.alive
