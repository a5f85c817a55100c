"""Hostile input for minutes: python -m fuzz [PYTHON_WITH_ATHERIS]. Writes reports/fuzz.json.

FUZZ_SECONDS says how long (120). Every target gets an equal share, first with the changes that
hypothesis makes, from another seed each time, then guided by coverage where atheris is there.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from inside.targets import Targets

from fuzz.runner import ROOT, Child, Run
from fuzz.targets import TARGETS

GRACE_SECONDS = 120
"""To start, and to make the failing input small."""
BATCH = "500"


def main() -> int:
    """Return 0 when nothing was found."""
    seconds = int(os.environ.get("FUZZ_SECONDS", "120"))
    guided = next((python for python in sys.argv[1:] if has_atheris(python)), None)
    share = max(1, seconds // (len(TARGETS) * (2 if guided else 1)))
    print(f"== fuzz: {len(TARGETS)} targets, {share} s each" + (" and way" if guided else ""))
    if guided is None:
        print("== fuzz: atheris is not here; hypothesis alone, not guided by coverage")
    number = secrets.randbelow(2**31)
    print(f"== fuzz: seed {number}")
    runs: list[Run] = []
    for target in TARGETS:
        options = ("--cases", BATCH, "--seconds", str(share), "--seed", str(number))
        runs.append(Child(target.name, *options).result(share + GRACE_SECONDS))
        if guided:
            child = Child(target.name, "--seconds", str(share), module="fuzz.guided", python=guided)
            runs.append(child.result(share + GRACE_SECONDS))
        for run in runs[-2 if guided else -1 :]:
            print(run.lines() if run.fault else f"   {run.target}: {run.outcomes}", flush=True)
    return show(runs)


def has_atheris(python: str) -> bool:
    """Say whether that interpreter can import atheris."""
    if not Path(python).exists():
        return False
    command = [python, "-c", "import atheris"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def show(runs: list[Run]) -> int:
    """Print the table and write it."""
    targets = Targets()
    for name in dict.fromkeys(run.target for run in runs):
        here = [run for run in runs if run.target == name]
        targets.least(f"{name}, cases", "cases", sum(run.cases for run in here), 1)
        faults = sum(run.fault is not None for run in here)
        targets.exactly(f"{name}, faults", "crashes, hangs, other exceptions", faults, 0)
    targets.write(ROOT / "reports/fuzz.json")
    print(*targets.lines(), sep="\n")
    return 1 if targets.missed else 0


if __name__ == "__main__":
    sys.exit(main())
