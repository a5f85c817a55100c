"""The tuner's acting edge: read resource, pods and Prometheus, advance once, write status.

Status comes first: it holds the trial and the wanted setting before anything in the cluster is
touched. The reconcile that follows writes them into the tuning file; a kill in between loses
nothing but a moment.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from embedding_operator.api.names import DEFAULT_POOL, Key, deployment_name, pool_selector
from embedding_operator.api.quantity import parse_quantity
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import Condition, EmbeddingServiceStatus, PoolStatus
from embedding_operator.api.tuning import Diagnosis, Knobs
from embedding_operator.assess.pods import PodState, read_pods
from embedding_operator.assess.rollout import read_rollout
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
    `diagnosed` and `decided` hear every diagnosis and decision, for the operator's own metrics.
    """

    metrics: Metrics
    default_address: str = ""
    diagnosed: Callable[[Key, Diagnosis | None], None] = lambda key, diagnosis: None
    decided: Callable[[str], None] = lambda reason: None

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
            self.decided(reason)
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
        pods = tuple(_view(pod) for pod in read_pods(manifests))
        ready = {pod.name: pod.started_at for pod in pods if pod.ready}
        return Observation(
            resource=key.name,
            namespace=key.namespace,
            spec_setting=spec.setting,
            current=wanted_setting(spec, pool).default,
            pods=pods,
            # A pod on its way out still takes its share of the load.
            rollout_stable=deployment is not None
            and read_rollout(deployment).complete
            and read_rollout(deployment).wanted == len(pods),
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


def _view(pod: PodState) -> PodView:
    return PodView(
        name=pod.name,
        ready=pod.ready and not pod.deleting,
        restarts=pod.restarts,
        started_at=pod.started_at,
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
