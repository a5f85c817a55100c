"""How the demo talks: a short block for each step, a bar while a load runs, lines in a log."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from load.figures import Figures

T = TypeVar("T")
USER = "python3 k8s/local/cluster.py"
PLAIN_SECONDS = 10.0
LOOK_SECONDS = 0.5
WINDOW_SECONDS = 5.0


class Running(Protocol):
    """A load that runs while something is waited for."""

    started: float

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        ...

    def figures(self, begin: float, end: float) -> Figures:
        """Sum up a stretch, in monotonic seconds."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or sooner when it has ended."""
        ...


class StepFailedError(RuntimeError):
    """A step of the demo did not happen; the text is the reason."""


class Stage:
    """Writes the blocks. `moving` is False in a log, where nothing may move."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._number = 0

    @property
    def moving(self) -> bool:
        """Whether a line may be drawn again."""
        return self._console.is_terminal

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step: a heading, whatever the body shows, and the seconds that it took."""
        self._number += 1
        begin = time.monotonic()
        self._console.print(f"\n[bold cyan]{self._number}. {title}[/]")
        yield
        self._console.print(f"   [dim]({time.monotonic() - begin:.1f} s)[/]")

    def done(self, text: str) -> None:
        """What was done."""
        self._line("done", text)

    def yourself(self, command: str) -> None:
        """The command with which a person does the same."""
        self._line("you ", command)

    def seen(self, text: str) -> None:
        """What came out."""
        self._line("seen", text)

    def block(self, text: str) -> None:
        """Output of a command, indented."""
        for line in text.rstrip().splitlines():
            self._console.print(f"        {line}", markup=False)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A small table; columns are as wide as they must be, a terminal wraps what is too long."""
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        for row in (head, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.block("  ".join(cells).rstrip())

    def failed(self, reason: str) -> None:
        """Why the demo ended early."""
        self._console.print(f"\n[bold red]failed[/] {reason}")

    def under_load(
        self, load: Running, title: str, seconds: float, check: Callable[[], T | None]
    ) -> T:
        """Show the load until `check` returns something true, and return that.

        Raises:
            StepFailedError: the deadline passed, or the load ended by itself.
        """
        begin = time.monotonic()
        with self._bar(title, seconds) as show:
            while True:
                found = check()
                if found:
                    return found
                now = time.monotonic()
                if now - begin > seconds:
                    raise StepFailedError(f"{title}: not within {seconds:.0f} s")
                if not load.running:
                    raise StepFailedError(f"{title}: the load ended: {_short(load, now)}")
                show(now - begin, _short(load, now))
                load.wait(LOOK_SECONDS)

    @contextmanager
    def _bar(self, title: str, seconds: float) -> Iterator[Callable[[float, str], None]]:
        if not self.moving:
            yield self._plain(title)
            return
        columns = (
            TextColumn("        {task.description}"), BarColumn(30), TimeElapsedColumn(),
            TextColumn("{task.fields[load]}"),
        )  # fmt: skip
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=seconds, load="")

            def show(elapsed: float, text: str) -> None:
                progress.update(task, completed=elapsed, load=text)

            yield show

    def _plain(self, title: str) -> Callable[[float, str], None]:
        last = -PLAIN_SECONDS

        def show(elapsed: float, text: str) -> None:
            nonlocal last
            if elapsed - last >= PLAIN_SECONDS:
                last = elapsed
                self.block(f"{title}: {elapsed:.0f} s, {text}")

        return show

    def _line(self, word: str, text: str) -> None:
        self._console.print(f"   [green]{word} [/] ", end="")
        self._console.print(text, markup=False)


def _short(load: Running, now: float) -> str:
    window = load.figures(max(load.started, now - WINDOW_SECONDS), now)
    return f"{window.images_per_second:5.1f} images/s, p95 {window.p95_seconds:.2f} s"
