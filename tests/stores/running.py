"""Starting a real object store on loopback, and ending it."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, environ: Mapping[str, str]
) -> Iterator[None]:
    """Run `command` until the block ends; it is up when it listens on `port` of loopback."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        ended = process.poll() is not None
        assert not ended, f"the store ended: {log.read_text(errors='replace')[-2000:]}"
        assert time.monotonic() < deadline, "the store does not listen"
        time.sleep(0.02)
