"""Watches every EmbeddingService for finalizers: one that was ever there is seen."""

import subprocess
import tempfile
from types import TracebackType
from typing import Self

WATCH = (
    "kubectl", "get", "embsvc", "--all-namespaces", "--watch",
    "-o", "jsonpath={.metadata.namespace}/{.metadata.name} {.metadata.finalizers}{'\\n'}",
)  # fmt: skip


class FinalizerWatch:
    """A watch for the length of a `with` block."""

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile(mode="w+")
        self._process = subprocess.Popen(WATCH, stdout=self._file, stderr=subprocess.DEVNULL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._file.close()

    def running(self) -> bool:
        """Whether the watch still stands: a watch that ended has proven nothing."""
        return self._process.poll() is None

    def lines(self) -> list[str]:
        """Everything seen so far, one line for each change of a resource."""
        self._file.seek(0)
        return self._file.read().splitlines()

    def of(self, namespace: str, name: str) -> list[str]:
        """What was seen of one resource: its finalizers at each change, empty where none."""
        prefix = f"{namespace}/{name} "
        return [line.removeprefix(prefix) for line in self.lines() if line.startswith(prefix)]
