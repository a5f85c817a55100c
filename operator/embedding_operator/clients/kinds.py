"""The kinds of objects that the operator reads and writes, and their paths in the API."""

from dataclasses import dataclass
from typing import Any, Final

from embedding_operator.api.names import API_VERSION, KIND, PLURAL


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its name, its API version and its plural in paths."""

    kind: str
    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
        """The path of one object, or of the list where `name` is None."""
        group = "/api" if "/" not in self.api_version else "/apis"
        parts = [group, self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(part.strip("/") if part is not group else part for part in parts)


SERVICES: Final = Kind(KIND, API_VERSION, PLURAL)
"""EmbeddingServices themselves."""
DEPLOYMENT: Final = Kind("Deployment", "apps/v1", "deployments")
SERVICE: Final = Kind("Service", "v1", "services")
SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "v1", "serviceaccounts")
CONFIG_MAP: Final = Kind("ConfigMap", "v1", "configmaps")
DISRUPTION_BUDGET: Final = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
POD: Final = Kind("Pod", "v1", "pods")
EVENT: Final = Kind("Event", "v1", "events")

CHILDREN: Final = (SERVICE_ACCOUNT, CONFIG_MAP, DEPLOYMENT, SERVICE, DISRUPTION_BUDGET)
ALL: Final = (SERVICES, *CHILDREN, POD, EVENT)


def kind_of(manifest: dict[str, Any]) -> Kind:
    """The kind of an object.

    Raises:
        KeyError: the operator never touches such objects.
    """
    wanted = (manifest["kind"], manifest["apiVersion"])
    for kind in ALL:
        if (kind.kind, kind.api_version) == wanted:
            return kind
    raise KeyError(wanted)
