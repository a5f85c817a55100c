"""What every renderer needs to know of one pool of one resource."""

from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.names import DEFAULT_POOL, Key
from embedding_operator.api.service import EmbeddingService, Manifest, owner_reference
from embedding_operator.api.spec import EmbeddingServiceSpec


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One pool. `image` is the server's image, resolved. `owner` goes into every child."""

    key: Key
    owner: Manifest
    spec: EmbeddingServiceSpec
    image: str
    pool: str = DEFAULT_POOL

    @property
    def on_gpu(self) -> bool:
        """Whether the pods ask for a GPU."""
        return self.spec.gpu.count > 0

    def child(self, api_version: str, kind: str, name: str, of_pool: bool = False) -> Manifest:
        """A child with its metadata: of the resource, or of this pool of it."""
        of_service = names.service_labels(self.key.name)
        return {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.key.namespace,
                "labels": names.pool_labels(self.key.name, self.pool) if of_pool else of_service,
                "ownerReferences": [self.owner],
            },
        }


def blueprint(service: EmbeddingService, spec: EmbeddingServiceSpec, image: str) -> Blueprint:
    """The blueprint of the default pool."""
    return Blueprint(key=service.key, owner=owner_reference(service), spec=spec, image=image)
