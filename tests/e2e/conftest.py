"""What every end-to-end test stands on: the local cluster, the operator in it, and the figures.

Nothing here runs anywhere else: before the first request it is checked that the API server is the
local cluster's, and the run ends if it is not.
"""

import contextlib
import subprocess
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from inside.errors import CommandFailedError, WrongPlaceError
from inside.evidence import collect
from inside.kubectl import Api, kubectl
from inside.operator import NAMESPACE as SYSTEM
from inside.operator import Operator
from inside.place import local_cluster
from inside.targets import Targets

from e2e.finalizers import FinalizerWatch
from e2e.stay import Stay

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "reports/e2e.json"
FAILURES = ROOT / "reports/e2e-failure.txt"
TARGETS = pytest.StashKey[Targets]()
NAMESPACES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TARGETS] = Targets()
    config.stash[NAMESPACES] = []


@pytest.fixture(scope="session")
def api() -> Api:
    """The local cluster's API, or the end of the run."""
    try:
        return local_cluster()
    except WrongPlaceError as error:
        pytest.exit(f"the end-to-end tests run only in the local cluster: {error}", returncode=3)


@pytest.fixture(scope="session")
def targets(pytestconfig: pytest.Config) -> Targets:
    """Where a test notes its figures."""
    return pytestconfig.stash[TARGETS]


@pytest.fixture(scope="session")
def operator(api: Api, targets: Targets) -> Operator:
    """The operator, installed once from the chart."""
    operator, begin = Operator(api), time.monotonic()
    operator.install()
    targets.most("operator ready after helm install", "s", time.monotonic() - begin, 120)
    return operator


@pytest.fixture(scope="session")
def finalizers(operator: Operator) -> Iterator[FinalizerWatch]:
    """Sees every finalizer that any EmbeddingService ever has in this run."""
    with FinalizerWatch() as watch:
        yield watch


@pytest.fixture(scope="module")
def stay(
    request: pytest.FixtureRequest, api: Api, operator: Operator, finalizers: FinalizerWatch
) -> Iterator[Stay]:
    """A namespace of this module's own."""
    name = "e2e-" + request.module.__name__.rpartition("test_")[2].replace("_", "-")
    request.config.stash[NAMESPACES].append(name)
    with contextlib.suppress(CommandFailedError):
        kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=true", "--timeout=60s")
    yield Stay.make(api, name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        _save_evidence(item)
    return report


def _save_evidence(item: pytest.Item) -> None:
    """Conditions, events and logs while they are still there."""
    names = item.config.stash[NAMESPACES]
    if not names:
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        FAILURES.parent.mkdir(exist_ok=True)
        with FAILURES.open("a") as file:
            file.write(f"\n===== {item.nodeid}\n{collect((names[-1], SYSTEM))}\n")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = config.stash[TARGETS]
    if not found.rows:
        return
    found.write(REPORT)
    terminalreporter.section("targets of the end-to-end suite")
    for line in found.lines():
        terminalreporter.write_line(line)
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"conditions, events and logs of the failures: {FAILURES}")
