"""On which nodes the pods may run, and how they spread."""

from embedding_operator.api import names
from embedding_operator.api.service import Manifest
from embedding_operator.api.spec import GpuSpec
from embedding_operator.render.blueprint import Blueprint


def scheduling(plan: Blueprint) -> Manifest:
    """The scheduling fields of the pod spec; an empty one is left out."""
    tolerations = [
        each.model_dump(by_alias=True, exclude_none=True) for each in plan.spec.tolerations
    ]
    tolerations += [gpu for gpu in _gpu_tolerations(plan.spec.gpu) if gpu not in tolerations]
    fields = {
        "nodeSelector": dict(plan.spec.node_selector),
        "tolerations": tolerations,
        "topologySpreadConstraints": [_spread(plan)],
    }
    return {name: value for name, value in fields.items() if value}


def gpu_resources(gpu: GpuSpec) -> dict[str, str]:
    """The GPU as a request and limit; empty without one."""
    return {gpu.resource_name: str(gpu.count)} if gpu.count else {}


def _gpu_tolerations(gpu: GpuSpec) -> list[Manifest]:
    """GPU nodes are tainted with the resource's name, or with the vendor's plain `gpu`."""
    if gpu.count == 0:
        return []
    vendor = gpu.resource_name.split("/", 1)[0]
    keys = sorted({gpu.resource_name, f"{vendor}/gpu"})
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def _spread(plan: Blueprint) -> Manifest:
    """Rather on different nodes, so that one lost node is one lost pod; never a reason to wait."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": names.pool_selector(plan.key.name, plan.pool)},
    }
