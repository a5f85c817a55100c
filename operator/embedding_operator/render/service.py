"""The Service in front of the pods of all pools."""

from embedding_contract.endpoints import PORT_NAME
from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint


def service(plan: Blueprint) -> Manifest:
    """Render it."""
    port = {
        "name": PORT_NAME,
        "port": plan.spec.service.port,
        "targetPort": PORT_NAME,
        "protocol": "TCP",
    }
    return {
        **plan.child("v1", "Service", plan.key.name),
        "spec": {
            "type": plan.spec.service.type,
            "selector": names.service_selector(plan.key.name),
            "ports": [port],
        },
    }
