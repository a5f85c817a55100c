"""kubectl and helm, as a user runs them; and the API read directly, because that is asked often."""

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import quote

from kubernetes import client, config

from inside.errors import CommandFailedError, InsideError

Document = dict[str, Any]
GROUP = "/apis/sluice.dev/v1alpha1"


def shown(command: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(command)


def run(command: Sequence[str], *, stdin: str | None = None, seconds: float = 120.0) -> str:
    """Run a command and return what it wrote on standard output.

    Raises:
        CommandFailedError: it ended with a fault, or did not end in time.
    """
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailedError(shown(command), -1, f"not done after {seconds:.0f} s") from late
    if done.returncode:
        raise CommandFailedError(shown(command), done.returncode, done.stdout + done.stderr)
    return done.stdout


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl.

    Raises:
        CommandFailedError: as `run`.
    """
    return run(["kubectl", *arguments], stdin=stdin)


def apply(document: Document, *options: str) -> str:
    """`kubectl apply` one document, which must name its namespace."""
    return kubectl("apply", *options, "-f", "-", stdin=json.dumps(document))


class Api:
    """The API server, read as plain JSON. What a user would change goes through kubectl."""

    def __init__(self) -> None:
        # Named here: the client reads the variable when it is imported, which may be too early.
        config.load_kube_config(os.environ.get("KUBECONFIG"))  # type: ignore[no-untyped-call]
        self._client = client.ApiClient()

    @property
    def server(self) -> str:
        """Address of the API server."""
        return cast("str", self._client.configuration.host)

    def get(self, path: str) -> Document:
        """GET a path; an object that is not there gives an empty document.

        Raises:
            InsideError: the API server did not answer with the object.
        """
        answer = self._client.call_api("GET", self.server + path, _request_timeout=10)
        text: bytes = answer.response.data
        if answer.status == 404:
            return {}
        if answer.status != 200:
            raise InsideError(f"GET {path}: {answer.status} {text[:300]!r}")
        return cast("Document", json.loads(text))

    def items(self, path: str, selector: str = "") -> list[Document]:
        """The items of a list, as far as their labels match."""
        query = f"?labelSelector={quote(selector)}" if selector else ""
        return cast("list[Document]", self.get(path + query).get("items", []))
