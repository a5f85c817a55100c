"""Blueprints of services, for the renderers' tests."""

from typing import Any

from embedding_operator.api.service import EmbeddingService, parse_service
from embedding_operator.render.blueprint import Blueprint, blueprint
from fakes.cluster import resource

GPU: dict[str, Any] = {
    "model": {"name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
    "imagePullSecrets": [{"name": "registry"}],
    "numStreams": 4,
    "semaphoreSize": 8,
    "replicas": 2,
    "gpu": {"count": 1, "resourceName": "nvidia.com/gpu.shared"},
    "resources": {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"cpu": "8", "memory": "16Gi"},
    },
    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
    "tolerations": [{"key": "team", "value": "search", "effect": "NoSchedule"}],
    "images": {
        "volume": {"persistentVolumeClaim": {"claimName": "pictures"}},
        "fetchHosts": ["example.org", "pictures.example"],
        "fetchNetworks": ["10.1.0.0/16"],
        "objectPrefixes": ["s3://albums/2024/", "gs://photos"],
        "credentialsSecret": {"name": "stores"},
    },
    "apiKeys": {"secretName": "clip-keys", "key": "clients"},
    "tracing": {"endpoint": "http://collector.tracing.svc:4318", "samplingRatio": 0.1},
    "limits": {"queueSize": 10, "drainSeconds": 12.5},
    "service": {"port": 8080, "type": "NodePort"},
}
CPU: dict[str, Any] = {
    "model": {"name": "sluice-tiny", "pretrained": "random:0"},
    "gpu": {"count": 0},
    "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1500m", "memory": "3Gi"}},
}


def service(name: str = "clip", **spec: Any) -> EmbeddingService:
    """A resource as the API server returns it."""
    manifest = resource(name, **spec)
    manifest["metadata"] |= {"uid": "uid-1", "generation": 1, "resourceVersion": "1"}
    return parse_service(manifest)


def plan(name: str = "clip", **spec: Any) -> Blueprint:
    """Its blueprint."""
    made = service(name, **spec)
    assert made.spec is not None, made.problem
    return blueprint(made, made.spec, "sluice/server:1")
