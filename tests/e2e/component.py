"""Stopping a part of the local cluster for a while, as an outage would."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inside.kubectl import run

CLUSTER = (sys.executable, str(Path(__file__).parents[2] / "k8s/local/cluster.py"))


@contextmanager
def stopped(component: str) -> Iterator[None]:
    """Stop one component for the length of the block, and start it again whatever happens."""
    run((*CLUSTER, "stop", component))
    try:
        yield
    finally:
        run((*CLUSTER, "start", component))
