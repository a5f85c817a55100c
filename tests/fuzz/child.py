"""Runs the cases of one target in this process, which may die: python -m fuzz.child TARGET ...

Decoders are C code. A crash or a hang ends this process, and the file with the last input is left
for whoever started it. The last line of the output is a report as JSON.
"""

import argparse
import ctypes
import json
import logging
import os
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from embedding_service.quiet import quiet_libtiff
from fuzz.targets import Target, target_named

CASE_CPU_SECONDS: Final = 5.0
"""A case that computes for longer hangs. CPU time, because the machine may be busy."""
GREW: Final = 3
"""Exit status when the cases took more memory than allowed."""
ADDRESS_SPACE: Final = 4 << 30
"""Guards the machine; the growth of a target is what is tested."""


class Watch:
    """Notes each input before it runs, and looks at time and memory afterwards."""

    def __init__(self, target: Target, notes: Path) -> None:
        self._run = target.run
        self._limit = target.growth
        self._note = os.open(notes, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.outcomes: Counter[str] = Counter()
        self.growth = 0
        for one in target.seeds():
            self.case(one)
        self.seeds = self.outcomes.copy()
        self.outcomes.clear()
        self.growth = 0

    def case(self, data: bytes) -> None:
        """Run one case."""
        os.pwrite(self._note, data, 0)
        os.ftruncate(self._note, len(data))
        before = peak_bytes()
        # Its default action ends the process even inside C code.
        signal.setitimer(signal.ITIMER_PROF, CASE_CPU_SECONDS)
        outcome = self._run(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.outcomes[outcome] += 1
        self.growth += peak_bytes() - before
        if self.growth > self._limit:
            # What was held once counts for ever: no other case may run, or it would be blamed.
            sys.stderr.write(f"the process grew by {self.growth >> 20} MiB\n")
            sys.stderr.flush()
            os._exit(GREW)


def peak_bytes() -> int:
    """Return the most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_cases(target: Target, watch: Watch, cases: int, number: int | None) -> None:
    """Run so many cases; without `number` they are the same on every run."""

    @settings(
        max_examples=cases, derandomize=number is None, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )  # fmt: skip
    @given(target.strategy)
    def one(data: bytes) -> None:
        watch.case(data)

    (one if number is None else seed(number)(one))()


def main() -> None:
    """Run, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.child", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="go on with new cases for this long")
    parser.add_argument("--seed", type=int, help="other cases than those of the unit run")
    parser.add_argument("--note", type=Path, required=True, help="where the last input is kept")
    given_options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    quiet_libtiff()
    end_with_parent()
    target = target_named(given_options.target)
    watch = Watch(target, given_options.note)
    try:
        run(target, watch, given_options)
    except BaseException as error:
        # Hypothesis adds the input in full; it is in the note.
        error.__notes__ = []
        raise
    report = {"outcomes": dict(watch.outcomes), "growth": watch.growth, "seeds": dict(watch.seeds)}
    sys.stdout.write(json.dumps(report) + "\n")


def run(target: Target, watch: Watch, options: argparse.Namespace) -> None:
    """Run the cases once, or again with other numbers until the time is over."""
    started, number = time.monotonic(), options.seed
    run_cases(target, watch, options.cases, number)
    while options.seconds and time.monotonic() - started < options.seconds:
        number = (number or 0) + 1
        run_cases(target, watch, options.cases, number)


def end_with_parent() -> None:
    """Let this process die when the one that started it does."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    main()
