"""Make pods take a new tuning file at once, and wait a moment for their word.

A kubelet refreshes a mounted ConfigMap only every minute or so, but at once when the pod itself
changes; an annotation is the smallest change there is. Should the kubelet have looked before it
knew of the new ConfigMap, the next look nudges again with another text.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from embedding_contract.endpoints import NUDGE_ANNOTATION
from embedding_contract.report import TuningReport
from embedding_operator.api.names import Key
from embedding_operator.assess.observed import Observed
from embedding_operator.assess.pods import PodState
from embedding_operator.clients.cluster import Cluster
from embedding_operator.clients.kinds import POD
from embedding_operator.clients.reports import Reports
from embedding_operator.handlers.look import addresses

PATIENCE_SECONDS: Final = 3.0
"""How long one look waits; a user's next edit waits as long at most."""
POLL_SECONDS: Final = 0.15


async def nudge(cluster: Cluster, namespace: str, observed: Observed) -> None:
    """Touch every running pod that does not run the wanted file yet."""
    if observed.tuning is None:
        return
    behind = [pod for pod in _asked(observed) if not observed.runs(pod)]
    texts = {pod.name: _next_text(pod, observed.tuning.generation) for pod in behind}
    await asyncio.gather(
        *(
            cluster.annotate(POD, Key(namespace, name), {NUDGE_ANNOTATION: text})
            for name, text in texts.items()
        )
    )


async def acknowledged(
    reports: Reports, observed: Observed, clock: Callable[[], float]
) -> Observed:
    """Ask the ready pods again until all run the wanted file, or for PATIENCE_SECONDS."""
    until = clock() + PATIENCE_SECONDS
    while clock() < until:
        behind = tuple(pod for pod in observed.ready_pods if not observed.runs(pod))
        if not behind or any(_refuses(observed, pod) for pod in behind):
            break
        await asyncio.sleep(POLL_SECONDS)
        fresh: Mapping[str, TuningReport | str] = await reports.ask(addresses(behind))
        observed = replace(observed, reports={**observed.reports, **fresh})
    return observed


def _asked(observed: Observed) -> list[PodState]:
    return [pod for pod in observed.pods if pod.name in addresses(observed.pods)]


def _refuses(observed: Observed, pod: PodState) -> bool:
    report = observed.reports.get(pod.name)
    return isinstance(report, TuningReport) and report.rejected is not None


def _next_text(pod: PodState, generation: int) -> str:
    """The generation; with a count behind it when that was there already: 7, 7-2, 7-3."""
    before, _, count = pod.nudged.partition("-")
    if before != str(generation):
        return str(generation)
    return f"{generation}-{int(count) + 1 if count.isdigit() else 2}"
