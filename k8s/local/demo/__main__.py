"""The outside of the demo: bring the cluster up, run the demo in it, take it down again."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = (sys.executable, str(ROOT / "k8s/local/cluster.py"))
NO_CLUSTER = 3


def main() -> int:
    """Run the demo; its exit status is 0 only when every step happened."""
    begin = time.monotonic()
    # In a log too, the lines come in the order in which things happen.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print("Sluice demo: a real control plane on this machine, a real server, real photographs.\n")
    had_cluster = _cluster("status", quiet=True) != NO_CLUSTER
    up = _cluster("up")
    if up:
        print("\nThe cluster did not come up; the lines above say why.", file=sys.stderr)
        return up
    try:
        return _inside(begin)
    except KeyboardInterrupt:
        return 130
    finally:
        _leave(had_cluster)


def _inside(begin: float) -> int:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT / "k8s/local"), str(ROOT / "tests"))),
        "SLUICE_DEMO_UP_SECONDS": f"{time.monotonic() - begin:.3f}",
    }
    command = (*CLUSTER, "run", sys.executable, "-m", "demo.show")
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _leave(had_cluster: bool) -> None:
    if os.environ.get("KEEP"):
        print("\nKEEP is set: everything goes on running. Stop it with: make cluster-down")
    elif had_cluster:
        print("\nThe cluster ran before, so it goes on running; the demo's namespaces are removed.")
        for command in (
            ("kubectl", "delete", "namespace", "demo", "--ignore-not-found"),
            ("helm", "uninstall", "sluice", "--namespace", "sluice-system", "--ignore-not-found"),
        ):
            _cluster(*command, quiet=True)
    else:
        print()
        _cluster("down")


def _cluster(*words: str, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        (*CLUSTER, *words), cwd=ROOT, check=False, stdout=output, stderr=output
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
