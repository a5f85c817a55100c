"""One module's place in the cluster: its namespace and the services in it."""

import copy
from dataclasses import dataclass
from typing import Any

from inside.kubectl import Api, Document, apply, kubectl
from inside.operator import restarts
from inside.service import Service
from inside.wait import eventually

READY_SECONDS = 150.0
TINY: Document = {
    "model": {"name": "sluice-tiny", "pretrained": "random:0"},
    "numStreams": 1,
    "semaphoreSize": 2,
    "gpu": {"count": 0},
    "resources": {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "2", "memory": "3Gi"},
    },
    "tuning": {"mode": "Off", "windowSeconds": 6},
}
"""A small CPU service with seeded weights. Nothing tunes it unless a test says so."""


@dataclass(frozen=True)
class Stay:
    """A namespace that exists while a module's tests run."""

    api: Api
    namespace: str

    @classmethod
    def make(cls, api: Api, namespace: str) -> "Stay":
        """Create the namespace and wait until pods may start in it."""
        eventually(
            lambda: not api.get(f"/api/v1/namespaces/{namespace}"), f"{namespace} is gone", 60
        )
        kubectl("create", "namespace", namespace)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        eventually(lambda: bool(api.get(path)), "the namespace is ready", 30)
        return cls(api, namespace)

    def document(self, name: str, **spec: Any) -> Document:
        """A resource: the tiny service with some fields of its spec replaced."""
        return {
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "EmbeddingService",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": copy.deepcopy(TINY) | spec,
        }

    def service(self, name: str, **spec: Any) -> Service:
        """Apply a resource and wait until it says Ready."""
        apply(self.document(name, **spec))
        service = Service(self.api, self.namespace, name)
        service.wait_condition("Ready", "True", READY_SECONDS)
        return service


def lives(service: Service) -> dict[str, int]:
    """Every pod's UID with its number of restarts: equal before and after means undisturbed."""
    return {pod["metadata"]["uid"]: restarts(pod) for pod in service.pods()}
