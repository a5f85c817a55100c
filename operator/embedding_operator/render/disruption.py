"""The PodDisruptionBudget: a drained node takes one pod at a time.

One pod may always go, so a service of one pod never blocks a drain; a broken pod always may.
"""

from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint


def disruption_budget(plan: Blueprint) -> Manifest:
    """Render it."""
    return {
        **plan.child("policy/v1", "PodDisruptionBudget", plan.key.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.service_selector(plan.key.name)},
        },
    }
