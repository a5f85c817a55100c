"""The tuner's acting edge: read resource, pods and Prometheus, advance once, write status.

Status comes first: it holds the trial and the wanted setting before anything in the cluster is
touched. The reconcile that follows writes them into the tuning file; a kill in between loses
nothing but a moment.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from embedding_operator.api.names import DEFAULT_POOL, Key, deployment_name, pool_selector
from embedding_operator.api.quantity import parse_quantity
from embedding_operator.api.service import EmbeddingService, Manifest
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import Condition, EmbeddingServiceStatus, PoolStatus
from embedding_operator.api.tuning import Diagnosis, Knobs
from embedding_operator.clients.cluster import Cluster, ServiceEvent
from embedding_operator.clients.kinds import DEPLOYMENT, POD
from embedding_operator.errors import PrometheusUnavailable
from embedding_operator.handlers.report import report
from embedding_operator.render.setting import wanted_setting
from embedding_operator.tuning.advance import Observation, Outcome, PodView, Verdict, advance
from embedding_operator.tuning.queries import Answers
from embedding_operator.tuning.trial import most_windows
from embedding_operator.tuning.window import MetricsGap, Windows, build_windows, instants

log = logging.getLogger(__name__)


class Metrics(Protocol):
    """Whoever answers questions: `clients.prometheus.Prometheus`, or a test's own."""

    async def ask(
        self,
        address: str,
        namespace: str,
        pods: Sequence[str],
        ends: Sequence[float],
        *,
        window_seconds: float,
    ) -> Answers:
        """Ask the whole catalogue. Raises `PrometheusUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Tuner:
    """Fulfils `handlers.tick.TunerTick`.

    `default_address` is the Prometheus of resources that name none, "" where there is none.
    `diagnosed` hears every diagnosis, for the operator's own metrics.
    """

    metrics: Metrics
    default_address: str = ""
    diagnosed: Callable[[Key, Diagnosis | None], None] = lambda key, diagnosis: None

    async def __call__(self, key: Key, cluster: Cluster, now: float) -> bool:
        """Look once; True when the wanted setting changed.

        Raises:
            ClusterError: the API server refused or could not be reached; nothing was changed.
        """
        service = await cluster.service(key)
        if service is None or service.deleting or service.spec is None:
            return False
        spec, pool = service.spec, service.status.pool()
        observation = await self._observe(service, spec, pool, cluster, now)
        outcome = advance(pool.tuning, observation, spec.tuning, now)
        service = await report(cluster, service, _written(service, pool, outcome, now))
        self.diagnosed(key, outcome.memory.diagnosis)
        for kind, reason, message in outcome.events:
            log.info("%s: %s: %s", key, reason, message)
            await cluster.emit(service, ServiceEvent(kind, reason, message))
        wanted = wanted_setting(spec, pool)
        return (wanted.default, dict(wanted.pods)) != (outcome.setting, dict(outcome.pod_settings))

    async def _observe(
        self,
        service: EmbeddingService,
        spec: EmbeddingServiceSpec,
        pool: PoolStatus,
        cluster: Cluster,
        now: float,
    ) -> Observation:
        key = service.key
        manifests = await cluster.list(POD, key.namespace, pool_selector(key.name, pool.name))
        child = Key(key.namespace, deployment_name(key.name, pool.name))
        deployment = await cluster.get(DEPLOYMENT, child)
        pods = tuple(pod_view(manifest) for manifest in manifests)
        ready = {pod.name: pod.started_at for pod in pods if pod.ready}
        return Observation(
            resource=key.name,
            namespace=key.namespace,
            spec_setting=spec.setting,
            current=wanted_setting(spec, pool).default,
            pods=pods,
            rollout_stable=rollout_stable(deployment, len(manifests)),
            in_force_since=pool.in_force_since,
            metrics=await self._windows(spec, key.namespace, ready, now),
            max_batch=spec.max_batch,
            host_memory_bytes=_memory_limit(spec),
        )

    async def _windows(
        self, spec: EmbeddingServiceSpec, namespace: str, ready: Mapping[str, float], now: float
    ) -> Windows | MetricsGap:
        """Ask for all windows that a decision may need."""
        if spec.tuning.mode == "Off" or not ready:
            return ()
        address = spec.tuning.prometheus.address or self.default_address
        if not address:
            return MetricsGap(
                "PrometheusNotConfigured",
                "set spec.tuning.prometheus.address, or prometheus.address of the chart",
            )
        window_seconds = spec.tuning.window_seconds
        ends = instants(now, window_seconds, most_windows(spec.tuning))
        try:
            answers = await self.metrics.ask(
                address, namespace, sorted(ready), ends, window_seconds=window_seconds
            )
        except PrometheusUnavailable as error:
            return MetricsGap("PrometheusUnreachable", str(error))
        return build_windows(answers, ready, ends, window_seconds)


def pod_view(manifest: Manifest) -> PodView:
    """What the tuner needs of a pod. One that is going away is not ready."""
    status: dict[str, Any] = manifest.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )
    began = [_running_since(container) for container in containers]
    return PodView(
        name=manifest["metadata"]["name"],
        ready=ready and "deletionTimestamp" not in manifest["metadata"],
        restarts=sum(container.get("restartCount", 0) for container in containers),
        started_at=max(began, default=0.0),
    )


def _running_since(container: Mapping[str, Any]) -> float:
    running = (container.get("state") or {}).get("running") or {}
    text = running.get("startedAt")
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def rollout_stable(deployment: Manifest | None, pods: int) -> bool:
    """Whether the Deployment is observed, fully updated, and has exactly its pods."""
    if deployment is None:
        return False
    status: dict[str, Any] = deployment.get("status") or {}
    wanted = (deployment.get("spec") or {}).get("replicas", 1)
    observed = status.get("observedGeneration", 0)
    return bool(
        observed >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and pods == wanted
    )


def _memory_limit(spec: EmbeddingServiceSpec) -> float | None:
    text = spec.resources.limits.get("memory")
    return float(parse_quantity(text)) if text else None


def _written(
    service: EmbeddingService, pool: PoolStatus, outcome: Outcome, now: float
) -> EmbeddingServiceStatus:
    """The status with the tuner's part replaced; everything else stays as it was read."""
    written = pool.model_copy(
        update={
            "setting": Knobs.of(outcome.setting),
            "pod_settings": {name: Knobs.of(one) for name, one in outcome.pod_settings.items()},
            "tuning": outcome.memory,
        }
    )
    others = [one for one in service.status.pools if one.name != DEFAULT_POOL]
    condition = _condition(service, outcome.metrics_available, now)
    # In its old place: a list in another order would be a write to status.
    found = any(one.type == condition.type for one in service.status.conditions)
    conditions = [
        condition if one.type == condition.type else one for one in service.status.conditions
    ]
    conditions += [] if found else [condition]
    return service.status.model_copy(update={"pools": [written, *others], "conditions": conditions})


def _condition(service: EmbeddingService, verdict: Verdict, now: float) -> Condition:
    """MetricsAvailable; its time moves only when its status does."""
    before = service.status.condition("MetricsAvailable")
    same = before is not None and before.status == verdict.status
    return Condition(
        type="MetricsAvailable",
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message,
        observed_generation=service.generation,
        last_transition_time=before.last_transition_time if before is not None and same else now,
    )
