"""The end of a log: the same lines as reading all of it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sluice_local import logfile


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.text("ab é", max_size=9), max_size=30),
    count=st.integers(0, 40),
    block=st.integers(1, 64),
    closed=st.booleans(),
)
def test_the_last_lines_are_the_last_lines(
    tmp_path: Path, lines: list[str], count: int, block: int, closed: bool
) -> None:
    text = "\n".join(lines) + ("\n" if closed else "")
    path = tmp_path / "log"
    path.write_text(text)
    before, logfile._BLOCK = logfile._BLOCK, block
    try:
        found = logfile.last_lines(path, count)
    finally:
        logfile._BLOCK = before
    assert found == (text.splitlines()[-count:] if count else [])


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert logfile.last_lines(tmp_path / "none", 5) == []


def test_following_gives_what_is_appended_even_after_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old old old\n")
    steps = iter(["old old old\nnew\n", "cut\n"])

    def going() -> bool:
        text = next(steps, None)
        if text is not None:
            path.write_text(text)
        return text is not None

    assert "".join(logfile.follow(path, going)) == "new\ncut\n"
