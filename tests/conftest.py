"""What every test shares: where the project is, and a loud word when a part could not run."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


EXIT_STATUS = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the status for the very end."""
    session.config.stash[EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let pytest's closing line be the last: torch's compiler prints pages when Python ends."""
    if "triton" in sys.modules and EXIT_STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT_STATUS])


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which parts this machine could not prove. Silence would look like a pass."""
    reasons = {_reason(report) for report in terminalreporter.stats.get("skipped", ())}
    for line in sorted(reason for reason in reasons if reason):
        terminalreporter.write_line(f"NOT PROVEN ON THIS MACHINE: {line}", red=True, bold=True)


def _reason(report: object) -> str:
    longrepr = getattr(report, "longrepr", None)
    return str(longrepr[2]) if isinstance(longrepr, tuple) else ""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own variables must not decide a test."""
    for name in [name for name in os.environ if name.startswith(("EMBEDDING_", "OTEL_"))]:
        monkeypatch.delenv(name)
