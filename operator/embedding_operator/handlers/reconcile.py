"""One look at one resource: read, decide, write, report. Safe to repeat and to break off anywhere.

The order matters. The setting stands in status (the tuner's) or in the spec (the user's) before it
is written to the ConfigMap, the ConfigMap before the pods are nudged, and status says that it is in
force only after every ready pod said so.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from embedding_contract.tuning import TuningFile
from embedding_operator.api import names
from embedding_operator.api.names import Key
from embedding_operator.api.service import EmbeddingService, Manifest
from embedding_operator.api.spec import EmbeddingServiceSpec
from embedding_operator.api.status import EmbeddingServiceStatus, PoolStatus
from embedding_operator.api.tuning import Knobs
from embedding_operator.assess.acknowledgement import describe, pod_statuses
from embedding_operator.assess.conditions import assess
from embedding_operator.assess.happenings import Happening, happenings
from embedding_operator.assess.observed import Observed, Trouble, TuningInForce
from embedding_operator.assess.rollout import read_rollout
from embedding_operator.clients.cluster import Cluster, ServiceEvent
from embedding_operator.clients.reports import Reports
from embedding_operator.handlers.children import Applied, apply_children
from embedding_operator.handlers.look import Look, look
from embedding_operator.handlers.nudge import acknowledged, nudge
from embedding_operator.handlers.report import report
from embedding_operator.metrics import Instruments
from embedding_operator.render.blueprint import blueprint
from embedding_operator.render.desired import desired
from embedding_operator.render.setting import WantedSetting, wanted_setting
from embedding_operator.render.tuning import read_tuning, tuning_file

AGAIN_SECONDS: Final = 1.0
"""When to look again while pods have not taken the tuning file."""
PATIENT_SECONDS: Final = 10.0
"""The same, once it is clear that they do not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look came to. `again_seconds`: when to look again by itself, None for the resync."""

    exists: bool
    tick_seconds: float | None = None
    again_seconds: float | None = None


GONE: Final = Seen(exists=False)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Looks at resources.

    `server_image` is the image of resources that name none. `now` is seconds since the epoch,
    `clock` monotonic seconds.
    """

    cluster: Cluster
    reports: Reports
    instruments: Instruments
    server_image: str
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic

    async def __call__(self, key: Key) -> Seen:
        """Look once.

        Raises:
            ClusterError: the API server refused or could not be reached; look again later.
        """
        service = await self.cluster.service(key)
        if service is None or service.deleting:
            return GONE
        found = await look(key, self.cluster, self.reports)
        if service.spec is None:
            return await self._unreadable(service, found)
        return await self._readable(service, service.spec, found)

    async def _readable(
        self, service: EmbeddingService, spec: EmbeddingServiceSpec, found: Look
    ) -> Seen:
        pool = service.status.pool()
        image = spec.image or service.status.image or self.server_image
        wanted = wanted_setting(spec, pool)
        before = found.children.get(_tuning_child(service.key))
        floor = max(pool.generation, found.highest_generation)
        file = tuning_file(before, floor, wanted)
        children = desired(blueprint(service, spec, image), file)
        applied = await apply_children(self.cluster, service, children, found.children)
        written = read_tuning(applied.children.get(_tuning_child(service.key))) == file
        pool = self._next_pool(pool, wanted, file if written else None)
        observed = self._observed(service, found, applied, pool)
        if applied.trouble is None:
            await nudge(self.cluster, service.key.namespace, observed, self.now())
            observed = await acknowledged(self.reports, observed, self.clock)
        status = self._status(service, observed, pool, image)
        told = [*applied.told, *(_setting_told(before, file) if written else [])]
        for kind in applied.repaired:
            self.instruments.repaired(kind)
        await self._report(service, status, told)
        return Seen(True, max(5.0, spec.tuning.window_seconds), _again(status))

    async def _unreadable(self, service: EmbeddingService, found: Look) -> Seen:
        """Leave the children as they are: what served yesterday serves today."""
        trouble = Trouble(
            "InvalidSpec", f"{service.problem}. What ran before goes on; correct the spec"
        )
        pool = service.status.pool()
        observed = self._observed(service, found, Applied(found.children, trouble=trouble), pool)
        await self._report(service, self._status(service, observed, pool, ""), [])
        return Seen(True)

    def _next_pool(
        self, pool: PoolStatus, wanted: WantedSetting, file: TuningFile | None
    ) -> PoolStatus:
        """The pool with what it wants and, once that is `file` in the cluster, its generation."""
        settings = {
            "setting": Knobs.of(wanted.default),
            "pod_settings": {name: Knobs.of(each) for name, each in wanted.pods.items()},
        }
        if file is None:
            return pool.model_copy(update={**settings, "in_force_since": None})
        same = pool.generation == file.generation and pool.generation_since is not None
        return pool.model_copy(
            update={
                **settings,
                "generation": file.generation,
                "generation_since": pool.generation_since if same else _milliseconds(self.now()),
                "in_force_since": pool.in_force_since if same else None,
            }
        )

    def _observed(
        self, service: EmbeddingService, found: Look, applied: Applied, pool: PoolStatus
    ) -> Observed:
        deployment = applied.children.get(_deployment_child(service.key))
        rollout = None if deployment is None else read_rollout(deployment)
        tuning = None
        if pool.setting is not None and pool.generation:
            since = pool.generation_since or 0.0
            tuning = TuningInForce(pool.generation, pool.setting.setting, since)
        wanted = service.spec.replicas if service.spec else rollout.wanted if rollout else 0
        return Observed(
            generation=service.generation,
            replicas=wanted,
            rollout=rollout,
            pods=found.pods,
            reports=found.reports,
            tuning=tuning,
            trouble=applied.trouble,
        )

    def _status(
        self, service: EmbeddingService, observed: Observed, pool: PoolStatus, image: str
    ) -> EmbeddingServiceStatus:
        now, rollout = _milliseconds(self.now()), observed.rollout
        ready = observed.ready_pods
        in_force = bool(ready) and all(observed.runs(pod) for pod in ready)
        since = (pool.in_force_since or now) if in_force else None
        update = {"in_force_since": since, "pods": pod_statuses(observed)}
        others = [each for each in service.status.pools if each.name != pool.name]
        return service.status.model_copy(
            update={
                "observed_generation": service.generation,
                "conditions": assess(observed, service.status.conditions, now),
                "replicas": rollout.exist if rollout else 0,
                "ready_replicas": rollout.ready if rollout else 0,
                "selector": names.selector_text(names.service_selector(service.key.name)),
                "image": image or service.status.image,
                "pools": [pool.model_copy(update=update), *others],
            }
        )

    async def _report(
        self, service: EmbeddingService, status: EmbeddingServiceStatus, told: list[Happening]
    ) -> None:
        """Write status, then tell what changed: an event may be lost, status may not."""
        written = await report(self.cluster, service, status)
        changes = happenings(service.status.conditions, status.conditions)
        for each in [*told, *changes]:
            event = ServiceEvent(each.type, each.reason, each.message)
            await self.cluster.emit(written, event)


def _milliseconds(seconds: float) -> float:
    """As exact as status keeps it, so that what is read back equals what was written."""
    return round(seconds, 3)


def _again(status: EmbeddingServiceStatus) -> float | None:
    condition = status.condition("TuningInForce")
    if condition is None or condition.status != "False":
        return None
    return AGAIN_SECONDS if condition.reason == "Applying" else PATIENT_SECONDS


def _setting_told(before: Manifest | None, file: TuningFile) -> list[Happening]:
    """Tell of a new setting, and from where it went."""
    old = read_tuning(before)
    if old is not None and old.generation == file.generation:
        return []
    text = f"generation {file.generation}: {describe(file.default)}"
    if old is not None and old.default != file.default:
        text += f" (before: {describe(old.default)})"
    if file.pods:
        text += f", others on {', '.join(sorted(file.pods))}"
    return [Happening("Normal", "SettingChanged", text)]


def _tuning_child(key: Key) -> tuple[str, str]:
    return "ConfigMap", names.tuning_config_map_name(key.name)


def _deployment_child(key: Key) -> tuple[str, str]:
    return "Deployment", names.deployment_name(key.name)
