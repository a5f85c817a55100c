"""Starts a child for a target and says how it ended: done, a fault, a crash or a hang."""

import hashlib
import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.child import GREW

ROOT = Path(__file__).parents[2]
FOUND = ROOT / "reports/fuzz"
"""Where the input of a fault is kept: one file for each."""
MODULES = tuple(str(ROOT / folder) for folder in ("service", "operator", "tests", "k8s/local"))

SITES = tuple(site.getsitepackages())
"""Where this environment's packages are, for a child of another one."""


@dataclass(frozen=True)
class Run:
    """How one target did. `fault` is None when every case ended in a value or a proper error."""

    target: str
    outcomes: dict[str, int] = field(default_factory=dict)
    growth_bytes: int = 0
    fault: str | None = None
    kept: Path | None = None

    @property
    def cases(self) -> int:
        """How many cases ran."""
        return sum(self.outcomes.values())

    def lines(self) -> str:
        """The fault in words, for a person."""
        where = f"; the input is in {self.kept}" if self.kept else ""
        return f"{self.target}: {self.fault}{where}"


class Child:
    """One running child; several may run side by side."""

    def __init__(
        self, target: str, *options: str, module: str = "fuzz.child", python: str = sys.executable
    ) -> None:
        self._target = target
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self._note = Path(self._folder.name) / "input"
        self._errors = Path(self._folder.name) / "errors"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [python, "-m", module, target, *options, "--note", str(self._note)],
                stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self._folder.name,
                env=os.environ | {"PYTHONPATH": os.pathsep.join((*MODULES, *SITES))},
            )  # fmt: skip

    def result(self, seconds: float) -> Run:
        """Wait for the end, this long at most."""
        try:
            output, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            run = self._failed(f"not done after {seconds:.0f} s")
        else:
            status = self._process.returncode
            run = self._done(output) if status == 0 else self._failed(_ended_by(status))
        self._folder.cleanup()
        return run

    def _done(self, output: str) -> Run:
        report = json.loads(output.splitlines()[-1])
        return Run(self._target, report["outcomes"], report["growth"])

    def _failed(self, how: str) -> Run:
        words = self._errors.read_text(errors="replace")[-3000:]
        kept = self._keep() if self._note.exists() else None
        return Run(self._target, fault=f"{how}\n{words}", kept=kept)

    def _keep(self) -> Path:
        data = self._note.read_bytes()
        FOUND.mkdir(parents=True, exist_ok=True)
        kept = FOUND / f"{self._target}-{hashlib.sha256(data).hexdigest()[:12]}.bin"
        kept.write_bytes(data)
        return kept


def _ended_by(status: int) -> str:
    if status == -signal.SIGPROF:
        return "a case hangs"
    if status < 0:
        return f"a case ended the process with {signal.Signals(-status).name}"
    return "a case took too much memory" if status == GREW else "a case raised"
