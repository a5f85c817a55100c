"""The server's container. It meets the restricted Pod Security Standard."""

from embedding_contract.endpoints import LIVE_PATH, PORT, PORT_NAME, READY_PATH
from embedding_operator.api.names import CONTAINER
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint
from embedding_operator.render.environment import environment, environment_from
from embedding_operator.render.scheduling import gpu_resources


def container(plan: Blueprint, mounts: list[Manifest]) -> Manifest:
    """Render it."""
    sources = environment_from(plan)
    return {
        "name": CONTAINER,
        "image": plan.image,
        "imagePullPolicy": plan.spec.image_pull_policy,
        "command": ["sluice-server"],
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "env": environment(plan),
        **({"envFrom": sources} if sources else {}),
        "resources": _resources(plan),
        "volumeMounts": mounts,
        **_probes(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The last line of a failed start becomes the reason in the resource's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(plan: Blueprint) -> Manifest:
    gpu = gpu_resources(plan.spec.gpu)
    amounts = {
        "requests": {**plan.spec.resources.requests, **gpu},
        "limits": {**plan.spec.resources.limits, **gpu},
    }
    return {name: value for name, value in amounts.items() if value}


def _probes() -> Manifest:
    """Live as soon as the process listens, ready when the model is warm.

    The start may take long: two minutes of imports on a cold disk. Loading the model comes after
    it and is only a matter of readiness.
    """
    live = {"httpGet": {"path": LIVE_PATH, "port": PORT_NAME}}
    ready = {"httpGet": {"path": READY_PATH, "port": PORT_NAME}}
    return {
        "startupProbe": {**live, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 120},
        "readinessProbe": {**ready, "periodSeconds": 2, "timeoutSeconds": 3, "failureThreshold": 3},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }
