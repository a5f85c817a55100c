"""Shows the table of parity at the end of the run and keeps its figures."""

from pathlib import Path

import pytest

from parity.comparison import Found
from parity.figures import table_of, targets_of

REPORT = Path(__file__).parents[2] / "reports/parity.json"
FOUND = pytest.StashKey[list[Found]]()


@pytest.fixture(scope="session")
def found(pytestconfig: pytest.Config) -> list[Found]:
    """Where a test notes what it compared."""
    return pytestconfig.stash.setdefault(FOUND, [])


@pytest.hookimpl
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured, worst of each kind."""
    found = config.stash.get(FOUND, [])
    if not found:
        return
    targets_of(found).write(REPORT)
    terminalreporter.section("parity with open_clip's own transform (of 255; <= 1.5, >= 0.999)")
    for line in table_of(found):
        terminalreporter.write_line(line)
