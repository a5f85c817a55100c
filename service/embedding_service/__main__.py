"""`sluice-server`: reads the environment and runs the server; says in one line if it cannot."""

import argparse
import asyncio
import importlib.metadata
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import uvloop

from embedding_service.errors import ServiceError
from embedding_service.logs import configure_logging
from embedding_service.quiet import quiet_libtiff
from embedding_service.settings import ServerSettings, SettingsError, describe_settings
from embedding_service.web.lifecycle import Lifecycle
from embedding_service.web.tracing import Tracing, start_tracing

EXIT_CANNOT_START = 2
SPIN_COUNT = 3000
"""How often torch's helper threads look for work before they sleep: some tens of microseconds.
The default is milliseconds, in which they take the cores from the threads that decode; sleeping at
once costs more than a layer takes."""
_log = logging.getLogger(__name__)


def main() -> NoReturn:
    """Run the server as this process.

    It ends without the interpreter's own teardown: a thread that still loads or is stuck must not
    hold up the exit, and libraries print there, after the line that the operator looks for.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # read when torch is first imported
    code = run(sys.argv[1:], os.environ)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the server; return the exit code: 0 after a signal, 2 when it cannot start."""
    _parser().parse_args(arguments)
    configure_logging()
    quiet_libtiff()
    try:
        settings = ServerSettings.from_env(environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, start_tracing(environ, settings.pod_name)))
    except (SettingsError, ServiceError) as error:
        return _cannot_start(str(error))
    except Exception as error:  # noqa: BLE001 - the last line is for people, the log has the rest
        _log.exception("unexpected fault")
        return _cannot_start(f"unexpected {type(error).__name__}: {error}")
    return 0


async def _run(settings: ServerSettings, tracing: Tracing | None) -> None:
    await Lifecycle(settings, tracing=tracing).run()  # built inside the loop that it belongs to


def _cannot_start(reason: str) -> int:
    """Say why in one last line: the operator lifts it into the resource's status."""
    line = " ".join(reason.split())
    print(f"sluice-server: cannot start: {line}", file=sys.stderr, flush=True)
    return EXIT_CANNOT_START


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice-server",
        description="Turns images and texts into vectors. All settings are environment variables.",
        epilog=f"settings:\n\n{describe_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = importlib.metadata.version("sluice")
    parser.add_argument("--version", action="version", version=f"sluice-server {version}")
    return parser


if __name__ == "__main__":
    main()
