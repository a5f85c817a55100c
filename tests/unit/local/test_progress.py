"""Progress: whole lines in a log, a moving one on a terminal."""

from __future__ import annotations

import io

import pytest
from sluice_local.progress import Reporter


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_in_a_log_a_step_is_one_line_with_its_seconds() -> None:
    stream = io.StringIO()
    report = Reporter(stream)
    with report.step("etcd"):
        report.moving("not shown before 15 s")
    assert stream.getvalue().splitlines() == [f"  {'etcd':<46}    0.0 s"]


def test_on_a_terminal_the_line_moves() -> None:
    stream = Terminal()
    report = Reporter(stream)
    with report.step("build"):
        report.moving("1 of 9")
    assert "\r\x1b[K  1 of 9" in stream.getvalue()
    assert stream.getvalue().endswith(" s\n")


def test_a_step_that_fails_says_so_and_lets_the_error_through() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="why"), Reporter(stream).step("etcd"):
        raise ValueError("why")
    assert "failed after" in stream.getvalue()
