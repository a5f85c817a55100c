"""How the demo talks in a log, where nothing may move."""

import io
import re

import pytest
from demo.stage import Stage, StepFailedError
from rich.console import Console

from load.figures import Figures, figures


class Idle:
    """A load that answers nothing; it lives as long as the test says."""

    def __init__(self, *, running: bool) -> None:
        self._running = running
        self.started = 0.0

    @property
    def running(self) -> bool:
        return self._running

    def figures(self, begin: float, end: float) -> Figures:
        return figures([], begin, end)

    def wait(self, seconds: float) -> None:
        """Do not wait."""


def stage() -> tuple[Stage, io.StringIO]:
    text = io.StringIO()
    return Stage(Console(file=text, force_terminal=False, soft_wrap=True, width=110)), text


def test_a_step_has_a_number_a_title_and_its_seconds() -> None:
    told, text = stage()
    with told.step("Install"):
        told.done("chart installed")
        told.yourself("helm install sluice charts/sluice")
        told.seen("the operator is ready")
    lines = text.getvalue().splitlines()
    assert lines[1] == "1. Install"
    assert lines[2].split() == ["done", "chart", "installed"]
    assert lines[3].split() == ["you", "helm", "install", "sluice", "charts/sluice"]
    assert re.fullmatch(r"   \(\d+\.\d s\)", lines[5])


def test_a_table_is_never_cut() -> None:
    told, text = stage()
    told.table(("file", "vector"), [("x" * 60, "[" + "0.1, " * 20 + "...]"), ("y", "z")])
    head, first, second = text.getvalue().splitlines()
    assert first.endswith("...]")
    assert head.index("vector") == second.index("z") == first.index("[")


def test_a_command_keeps_its_brackets() -> None:
    told, text = stage()
    told.yourself("kubectl get x -o jsonpath='{.status.pools[0].tuning}'")
    told.seen("vector [+0.1, ...]")
    assert "pools[0].tuning" in text.getvalue()
    assert "[+0.1, ...]" in text.getvalue()


def test_waiting_ends_with_what_came() -> None:
    told, text = stage()
    looks = iter([None, None, "verdict"])
    assert told.under_load(Idle(running=True), "trial", 5, lambda: next(looks)) == "verdict"
    assert "trial: 0 s, " in text.getvalue()


def test_waiting_for_ever_fails_with_the_step() -> None:
    told, _ = stage()
    with pytest.raises(StepFailedError, match="trial: not within"):
        told.under_load(Idle(running=True), "trial", -1, lambda: None)


def test_a_load_that_ended_fails_the_step() -> None:
    told, _ = stage()
    with pytest.raises(StepFailedError, match="the load ended"):
        told.under_load(Idle(running=False), "trial", 5, lambda: None)
