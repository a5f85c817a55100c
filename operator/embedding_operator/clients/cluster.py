"""The cluster as the handlers see it: a few verbs, every one of them bounded in time.

`apiserver.ApiServer` speaks to a real one, tests/fakes/cluster.py keeps objects in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from embedding_operator.api.names import Key
from embedding_operator.api.service import EmbeddingService, Manifest
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.clients.kinds import Kind

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """Something that happened to a resource, for `kubectl describe`.

    `reason` is one CamelCase word for programs, `message` is for people.
    """

    type: EventType
    reason: str
    message: str


class Cluster(Protocol):
    """What the operator can do to the cluster.

    Every method raises `errors.ClusterError`, or the part of its tree that says more, when the API
    server refuses or cannot be reached.
    """

    async def services(self) -> list[EmbeddingService]:
        """Every resource in the watched namespaces, read from the API server, not from a cache."""
        ...

    async def service(self, key: Key) -> EmbeddingService | None:
        """One resource, or None when it does not exist."""
        ...

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """One object, or None when it does not exist."""
        ...

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> list[Manifest]:
        """The objects with these labels."""
        ...

    async def apply(self, manifest: Manifest) -> Manifest:
        """Apply server-side as field manager `sluice-operator`, forced; returns what came out."""
        ...

    async def overwrite(self, manifest: Manifest) -> None:
        """Merge into the existing object; lists are replaced whole, also what others put there."""
        ...

    async def annotate(self, kind: Kind, key: Key, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object that is not ours (a pod); others stay. Gone is fine."""
        ...

    async def write_status(
        self, service: EmbeddingService, status: EmbeddingServiceStatus
    ) -> EmbeddingService:
        """Replace the status; returns the resource as it is afterwards.

        Raises:
            Conflict: the resource changed since `service` was read.
        """
        ...

    async def emit(self, service: EmbeddingService, event: ServiceEvent) -> None:
        """Record an event. The same one again counts up. A failure is logged, never raised."""
        ...
