"""The ServiceAccount of the server's pods. It has no rights and no token is mounted."""

from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint


def service_account(plan: Blueprint) -> Manifest:
    """Render it."""
    return {
        **plan.child("v1", "ServiceAccount", plan.key.name),
        "automountServiceAccountToken": False,
    }
