"""Every address and name of the local cluster, in one place.

Law: all of them exist only inside the cluster's own network namespace, so two clusters on one
machine may use the same ones.
"""

from typing import Final

NODE_NAME: Final = "sluice-local"
NODE_ADDRESS: Final = "10.244.0.1"
POD_CIDR: Final = "10.244.0.0/16"
SERVICE_CIDR: Final = "10.96.0.0/16"
SERVICE_ADDRESS: Final = "10.96.0.1"
"""ClusterIP of the API server: the first address of the service range."""

DNS_ADDRESS: Final = "10.96.0.10"
"""Where pods ask for the names of Services; the Service proxy answers."""

API_PORT: Final = 6443
API_URL: Final = f"https://{NODE_ADDRESS}:{API_PORT}"
ETCD_URL: Final = "http://127.0.0.1:2379"
ETCD_PEER_URL: Final = "http://127.0.0.1:2380"
ETCD_PORT: Final = 2379

PROMETHEUS_PORT: Final = 9090
PROMETHEUS_URL: Final = f"http://{NODE_ADDRESS}:{PROMETHEUS_PORT}"
PROMETHEUS_NAMESPACE: Final = "monitoring"
PROMETHEUS_SERVICE: Final = "prometheus"
