"""Make pods take a new tuning file at once, and wait a moment for their word.

A kubelet refreshes a mounted ConfigMap only every minute or so, but at once when the pod itself
changes; an annotation is the smallest change there is. Should the kubelet have looked before it
knew of the new ConfigMap, a later look nudges again with another text, a few times: each nudge is
an event of the pod and so another look.
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


AGAIN_SECONDS: Final = 3.0
MOST: Final = 6


async def nudge(cluster: Cluster, namespace: str, observed: Observed, now: float) -> None:
    """Touch every pod that runs another file, `now` in epoch seconds.

    A pod that still loads its model is left alone: it reads the newest file when it is done.
    """
    tuning = observed.tuning
    if tuning is None:
        return
    due = min(1 + int(max(0.0, now - tuning.since) / AGAIN_SECONDS), MOST)
    behind = [pod for pod in observed.pods if _lags(observed, pod)]
    await asyncio.gather(
        *(
            cluster.annotate(POD, Key(namespace, pod.name), {NUDGE_ANNOTATION: text})
            for pod in behind
            if (text := _next_text(pod, tuning.generation, due)) is not None
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


def _lags(observed: Observed, pod: PodState) -> bool:
    if pod.deleting or not pod.running or observed.runs(pod):
        return False
    return pod.ready or isinstance(observed.reports.get(pod.name), TuningReport)


def _refuses(observed: Observed, pod: PodState) -> bool:
    report = observed.reports.get(pod.name)
    return isinstance(report, TuningReport) and report.rejected is not None


def _next_text(pod: PodState, generation: int, due: int) -> str | None:
    """The generation, later 7-2, 7-3; None while the pod was touched as often as is due."""
    before, _, count = pod.nudged.partition("-")
    if before != str(generation):
        return str(generation)
    done = int(count) if count.isdigit() else 1
    return f"{generation}-{done + 1}" if done < due else None
