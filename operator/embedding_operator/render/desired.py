"""All children of one resource, in the order in which they are applied."""

from embedding_contract.tuning import TuningFile
from embedding_operator.api.service import Manifest
from embedding_operator.render.blueprint import Blueprint
from embedding_operator.render.deployment import deployment
from embedding_operator.render.disruption import disruption_budget
from embedding_operator.render.service import service
from embedding_operator.render.serviceaccount import service_account
from embedding_operator.render.tuning import tuning_config_map


def desired(plan: Blueprint, file: TuningFile) -> list[Manifest]:
    """What the pods need comes before the pods."""
    return [
        service_account(plan),
        tuning_config_map(plan, file),
        deployment(plan),
        service(plan),
        disruption_budget(plan),
    ]
