"""Prometheus's own linter, where the local cluster's programs are built."""

import os
import subprocess
from pathlib import Path

from sluice_local.cache import Cache, cache_root
from sluice_local.module import PROMETHEUS, module_key

SOURCES = Path(__file__).parents[2] / "k8s/local/prometheus"


def promtool() -> Path | None:
    """Return the program, None where it is not built yet."""
    cache, key = Cache(cache_root(os.environ)), module_key(PROMETHEUS, SOURCES)
    return cache.directory(key) / "promtool" if cache.has(PROMETHEUS, key) else None


def complaints(program: Path, scrape: str) -> str:
    """Return what `promtool check metrics` says about a scrape; "" when it is clean."""
    done = subprocess.run(
        [str(program), "check", "metrics"],
        input=scrape, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")
