"""The Deployment of one pool.

Law: the pod template changes only when the resource changes. No operator version, no live knob
and no time is in it, so neither a new operator nor a tuner ever restarts a pod.
"""

import math
from typing import Final

from embedding_contract.endpoints import METRICS_PATH, PORT
from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint
from embedding_operator.render.container import container
from embedding_operator.render.scheduling import scheduling
from embedding_operator.render.volumes import volumes_and_mounts

USER: Final = 65532
EXIT_SECONDS: Final = 10
"""Time after the drain for the process to end by itself."""


def deployment(plan: Blueprint) -> Manifest:
    """Render it."""
    name = names.deployment_name(plan.key.name, plan.pool)
    return {
        **plan.child("apps/v1", "Deployment", name, of_pool=True),
        "spec": {
            "replicas": plan.spec.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": names.pool_selector(plan.key.name, plan.pool)},
            # A new pod beside the old ones would wait for ever for a GPU that they hold.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "template": _template(plan),
        },
    }


def _template(plan: Blueprint) -> Manifest:
    volumes, mounts = volumes_and_mounts(plan)
    secrets = [{"name": each.name} for each in plan.spec.image_pull_secrets]
    return {
        "metadata": {
            "labels": names.pool_labels(plan.key.name, plan.pool),
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(PORT),
                "prometheus.io/path": METRICS_PATH,
            },
        },
        "spec": {
            "serviceAccountName": plan.key.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": _grace_seconds(plan),
            **({"imagePullSecrets": secrets} if secrets else {}),
            **scheduling(plan),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container(plan, mounts)],
            "volumes": volumes,
        },
    }


def _grace_seconds(plan: Blueprint) -> int:
    return math.ceil(plan.spec.limits.drain_seconds) + EXIT_SECONDS
