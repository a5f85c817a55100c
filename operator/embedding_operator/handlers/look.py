"""Read everything of one resource at once: its children, its pods, and what the pods say."""

import asyncio
from dataclasses import dataclass

from embedding_contract.report import TuningReport
from embedding_operator.api import names
from embedding_operator.api.names import Key
from embedding_operator.api.service import Manifest
from embedding_operator.assess.pods import PodState, read_pods
from embedding_operator.clients.cluster import Cluster
from embedding_operator.clients.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from embedding_operator.clients.reports import Reports

Children = dict[tuple[str, str], Manifest]
"""Live children by kind and name."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is there. `reports` holds each running pod's answer, or why there was none."""

    children: Children
    pods: tuple[PodState, ...]
    reports: dict[str, TuningReport | str]

    @property
    def highest_generation(self) -> int:
        """The newest tuning file that any pod ever took: older ones would be refused."""
        taken = (each.generation for each in self.reports.values() if not isinstance(each, str))
        return max((generation for generation in taken if generation is not None), default=0)


async def look(key: Key, cluster: Cluster, reports: Reports) -> Look:
    """Read it, in parallel."""
    wanted: list[tuple[Kind, str]] = [
        (SERVICE_ACCOUNT, key.name),
        (CONFIG_MAP, names.tuning_config_map_name(key.name)),
        (DEPLOYMENT, names.deployment_name(key.name)),
        (SERVICE, key.name),
        (DISRUPTION_BUDGET, key.name),
    ]
    reads = [cluster.get(kind, Key(key.namespace, name)) for kind, name in wanted]
    listing = cluster.list(POD, key.namespace, names.pool_selector(key.name))
    found, manifests = await asyncio.gather(asyncio.gather(*reads), listing)
    children = {
        (kind.kind, name): manifest
        for (kind, name), manifest in zip(wanted, found, strict=True)
        if manifest is not None
    }
    pods = read_pods(manifests)
    return Look(children, pods, await reports.ask(addresses(pods)))


def addresses(pods: tuple[PodState, ...]) -> dict[str, str]:
    """The pods that can be asked."""
    return {pod.name: pod.ip for pod in pods if pod.ip and pod.running and not pod.deleting}
