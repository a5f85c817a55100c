"""Objects that the cluster has from the start: Prometheus as a Service, so pods find it by name.

Law: pure. Prometheus runs beside the pods, not as one, so its EndpointSlice is made by hand.
"""

from __future__ import annotations

from typing import Any

from sluice_local import addresses

Manifest = dict[str, Any]


def prometheus_objects() -> list[tuple[str, Manifest]]:
    """(path to POST to, object) pairs, in order."""
    namespace, name = addresses.PROMETHEUS_NAMESPACE, addresses.PROMETHEUS_SERVICE
    labels = {
        "app.kubernetes.io/name": "prometheus",
        "app.kubernetes.io/managed-by": "sluice-local",
    }
    port = addresses.PROMETHEUS_PORT
    space: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    service: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": port}]},
    }
    endpoints: Manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-by-hand",
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "sluice-local",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [addresses.NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }
    return [
        ("/api/v1/namespaces", space),
        (f"/api/v1/namespaces/{namespace}/services", service),
        (f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", endpoints),
    ]
