"""Every name that the operator gives: group, kind, children, labels. Pure.

A child's name is the resource's name plus at most a pool and a suffix; MAX_NAME_LENGTH keeps the
longest one inside Kubernetes' 63 characters.
"""

from typing import Final, NamedTuple

GROUP: Final = "sluice.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "EmbeddingService"
PLURAL: Final = "embeddingservices"
SINGULAR: Final = "embeddingservice"
SHORT_NAME: Final = "embsvc"
CATEGORY: Final = "sluice"

FIELD_MANAGER: Final = "sluice-operator"
CONTAINER: Final = "server"
DEFAULT_POOL: Final = "default"
MAX_NAME_LENGTH: Final = 40
NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A Service's name must be a DNS label that starts with a letter, and it is the resource's name."""

SERVICE_LABEL: Final = "sluice.dev/service"
POOL_LABEL: Final = "sluice.dev/pool"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "sluice"


class Key(NamedTuple):
    """Which resource: the unit of the work queue."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def deployment_name(name: str, pool: str = DEFAULT_POOL) -> str:
    """Name of a pool's Deployment."""
    return name if pool == DEFAULT_POOL else f"{name}-{pool}"


def tuning_config_map_name(name: str, pool: str = DEFAULT_POOL) -> str:
    """Name of the ConfigMap that holds a pool's tuning file."""
    return f"{deployment_name(name, pool)}-tuning"


def service_labels(name: str) -> dict[str, str]:
    """Labels of everything that belongs to the resource."""
    return {
        "app.kubernetes.io/name": "sluice-server",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "server",
        MANAGED_BY_LABEL: MANAGED_BY,
        SERVICE_LABEL: name,
    }


def pool_labels(name: str, pool: str = DEFAULT_POOL) -> dict[str, str]:
    """Labels of everything that belongs to one pool, its pods included."""
    return {**service_labels(name), POOL_LABEL: pool}


def service_selector(name: str) -> dict[str, str]:
    """Selects the pods of all pools of the resource."""
    return {SERVICE_LABEL: name}


def pool_selector(name: str, pool: str = DEFAULT_POOL) -> dict[str, str]:
    """Selects the pods of one pool. It can never change: a Deployment's selector is immutable."""
    return {SERVICE_LABEL: name, POOL_LABEL: pool}


def selector_text(selector: dict[str, str]) -> str:
    """The selector as a query: a=b,c=d."""
    return ",".join(f"{label}={value}" for label, value in sorted(selector.items()))
