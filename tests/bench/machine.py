"""The machine and the programs of a run, for the head of a report."""

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.processes import ROOT
from bench.runs import CORES


def described(packages: Sequence[str]) -> list[str]:
    """Return lines of Markdown: when, where, and which versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    now = datetime.datetime.now(datetime.UTC)
    return [
        f"- {now:%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"- {CORES} cores: {_processor()}; {_gibibytes():.0f} GiB; the client shares the cores",
        f"- Python {platform.python_version()}, {versions}",
    ]


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _gibibytes() -> float:
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    return int(first.split()[1]) / 2**20
