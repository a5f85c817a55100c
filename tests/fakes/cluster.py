"""A cluster in memory: what the operator's handlers need of an API server and its controllers.

Resource versions, generations, owner references and server-side apply behave as in Kubernetes;
scheduling, kubelets and garbage collection happen only when a test asks for them.
"""

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

from embedding_contract.endpoints import NUDGE_ANNOTATION, TUNING_FILE
from embedding_contract.report import TuningReport
from embedding_contract.tuning import TuningFile, TuningRejected, parse_tuning
from embedding_operator.api import names
from embedding_operator.api.names import Key
from embedding_operator.api.service import EmbeddingService, Manifest, parse_service
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.clients.cluster import ServiceEvent
from embedding_operator.clients.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    SERVICES,
    Kind,
    kind_of,
)
from embedding_operator.errors import ClusterError, Conflict
from fakes.applied import merged, owned_fields, without

Manifests = list[Manifest]


def resource(name: str = "clip", namespace: str = "default", **spec: Any) -> Manifest:
    """An EmbeddingService as a user writes it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"name": "sluice-tiny", "pretrained": "random:0"}, **spec},
    }


class FakeCluster:
    """Fulfils `clients.cluster.Cluster`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.writes: list[str] = []
        self.events: list[ServiceEvent] = []
        self.failures: dict[str, list[ClusterError]] = {}
        self._version = 0
        self._uids: Counter[str] = Counter()

    # What the operator calls.

    async def services(self) -> list[EmbeddingService]:
        self._maybe_fail("list", SERVICES)
        return [
            parse_service(copy.deepcopy(each))
            for (kind, _, _), each in sorted(self.objects.items())
            if kind == SERVICES.kind
        ]

    async def service(self, key: Key) -> EmbeddingService | None:
        manifest = await self.get(SERVICES, key)
        return None if manifest is None else parse_service(manifest)

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        self._maybe_fail("get", kind)
        return copy.deepcopy(self.objects.get((kind.kind, *key)))

    async def apply(self, manifest: Manifest) -> Manifest:
        kind = kind_of(manifest)
        self._write("apply", kind, manifest["metadata"]["name"])
        key = (kind.kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        before = self.objects.get(key)
        live = copy.deepcopy(before) if before else {"metadata": {}}
        owned = live["metadata"].pop("managedFields", [{}])[0].get("fieldsV1", {})
        live = merged(without(live, owned, manifest), manifest)
        bare = {
            name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")
        }
        bare["metadata"] = {
            name: value for name, value in manifest["metadata"].items()
            if name not in ("name", "namespace")
        }  # fmt: skip
        live["metadata"]["managedFields"] = [
            {
                "manager": names.FIELD_MANAGER,
                "operation": "Apply",
                "fieldsType": "FieldsV1",
                "fieldsV1": owned_fields(bare),
            }
        ]
        return copy.deepcopy(self._store(live))

    async def overwrite(self, manifest: Manifest) -> None:
        kind = kind_of(manifest)
        self._write("overwrite", kind, manifest["metadata"]["name"])
        self._patch(kind, manifest["metadata"], manifest)

    async def annotate(self, kind: Kind, key: Key, annotations: Mapping[str, str]) -> None:
        if (kind.kind, *key) not in self.objects:
            return
        self._write("annotate", kind, key.name)
        self._patch(kind, key._asdict(), {"metadata": {"annotations": dict(annotations)}})

    async def write_status(
        self, service: EmbeddingService, status: EmbeddingServiceStatus
    ) -> EmbeddingService:
        live = self.objects[(SERVICES.kind, *service.key)]
        if live["metadata"]["resourceVersion"] != service.resource_version:
            raise Conflict("the object has been modified; please apply your changes again")
        self._write("status", SERVICES, service.key.name)
        live = copy.deepcopy(live)
        live["status"] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return parse_service(copy.deepcopy(self._store(live)))

    async def emit(self, service: EmbeddingService, event: ServiceEvent) -> None:
        self.events.append(event)

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Manifests:
        self._maybe_fail("list", kind)
        return [
            copy.deepcopy(each)
            for (name, place, _), each in sorted(self.objects.items())
            if (name, place) == (kind.kind, namespace)
            and labels.items() <= (each["metadata"].get("labels") or {}).items()
        ]

    # What users and controllers do.

    def create(self, manifest: Manifest) -> Manifest:
        """A user creates an object."""
        return self._store(copy.deepcopy(manifest))

    def edit(self, kind: Kind, name: str, change: Manifest, namespace: str = "default") -> None:
        """Somebody merge-patches an object."""
        self._patch(kind, {"namespace": namespace, "name": name}, change)

    def remove(self, kind: Kind, name: str, namespace: str = "default") -> None:
        """Somebody deletes an object; nothing follows it."""
        del self.objects[(kind.kind, namespace, name)]

    def roll_out(self, name: str = "clip", namespace: str = "default", ready: bool = True) -> None:
        """The Deployment's controller and the kubelets finish their work."""
        live = self.objects[(DEPLOYMENT.kind, namespace, name)]
        wanted = live["spec"]["replicas"]
        for index in range(wanted):
            self._store(self._pod(live, f"{name}-{index}", index, ready))
        running = wanted if ready else 0
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": running,
            "availableReplicas": running,
        }

    def tuning(self, name: str = "clip", namespace: str = "default") -> TuningFile:
        """The tuning file as it lies in the ConfigMap."""
        live = self.objects[(CONFIG_MAP.kind, namespace, f"{name}-tuning")]
        return parse_tuning(live["data"][TUNING_FILE])

    def status(self, name: str = "clip", namespace: str = "default") -> EmbeddingServiceStatus:
        """The resource's status."""
        return parse_service(self.objects[(SERVICES.kind, namespace, name)]).status

    def pods(self) -> Manifests:
        """All pods."""
        return [each for (kind, _, _), each in self.objects.items() if kind == POD.kind]

    def fail(self, verb: str, kind: Kind, *errors: ClusterError) -> None:
        """The next calls of that verb on that kind fail, one error after the other."""
        self.failures.setdefault(f"{verb} {kind.kind}", []).extend(errors)

    def _pod(self, deployment: Manifest, name: str, index: int, ready: bool) -> Manifest:
        template = deployment["spec"]["template"]
        namespace = deployment["metadata"]["namespace"]
        before = self.objects.get((POD.kind, namespace, name), {"metadata": {}})
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        status = {
            "podIP": f"10.0.0.{index + 1}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"name": "server", "restartCount": 0, "state": running}],
        }
        annotations = {**template["metadata"]["annotations"]}
        annotations |= before["metadata"].get("annotations") or {}
        metadata = {"name": name, "namespace": namespace, "annotations": annotations}
        metadata["labels"] = template["metadata"]["labels"]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}

    def _store(self, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        key = (manifest["kind"], metadata["namespace"], metadata["name"])
        before = self.objects.get(key)
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        if before is None:
            self._uids[manifest["kind"]] += 1
            number = self._uids[manifest["kind"]]
            metadata["uid"] = f"{manifest['kind']}-{number}".lower()
            metadata["generation"] = 1
        else:
            changed = before.get("spec") != manifest.get("spec")
            metadata["uid"] = before["metadata"]["uid"]
            metadata["generation"] = before["metadata"]["generation"] + changed
        self.objects[key] = manifest
        return manifest

    def _patch(self, kind: Kind, where: Mapping[str, Any], change: Manifest) -> None:
        live = copy.deepcopy(self.objects[(kind.kind, where["namespace"], where["name"])])
        self._store(_merge_patched(live, change))

    def _write(self, verb: str, kind: Kind, name: str) -> None:
        self._maybe_fail(verb, kind)
        self.writes.append(f"{verb} {kind.kind} {name}")

    def _maybe_fail(self, verb: str, kind: Kind) -> None:
        waiting = self.failures.get(f"{verb} {kind.kind}")
        if waiting:
            raise waiting.pop(0)


def _merge_patched(live: Any, change: Any) -> Any:
    if not isinstance(live, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    out = {name: value for name, value in live.items() if change.get(name, value) is not None}
    for name, value in change.items():
        if value is not None:
            out[name] = _merge_patched(live.get(name), value)
    return out


class FakeReports:
    """Fulfils `clients.reports.Reports`: each pod runs the file that it was last nudged to take.

    `stubborn` pods keep what they have, `silent` ones do not answer.
    """

    def __init__(self, cluster: FakeCluster, service: str = "clip") -> None:
        self.cluster, self.service = cluster, service
        self.stubborn: set[str] = set()
        self.silent: set[str] = set()
        self.rejecting: dict[str, str] = {}
        self.running: dict[str, TuningFile] = {}
        self.asked: list[list[str]] = []

    async def ask(self, addresses: Mapping[str, str]) -> dict[str, TuningReport | str]:
        self.asked.append(sorted(addresses))
        return {name: self._answer(name) for name in addresses}

    def _answer(self, name: str) -> TuningReport | str:
        if name in self.silent:
            return "no answer within 2 seconds"
        try:
            file = self.cluster.tuning(self.service)
        except (KeyError, TuningRejected):
            return "connection refused"
        known = self.running.get(name)
        if name not in self.stubborn and (known is None or self._nudged(name, file.generation)):
            self.running[name] = known = file
        if known is None:
            return "connection refused"
        setting = known.for_pod(name)
        return TuningReport(name, known.generation, setting, setting, 0.0, self.rejecting.get(name))

    def _nudged(self, name: str, generation: int) -> bool:
        pod = next(each for each in self.cluster.pods() if each["metadata"]["name"] == name)
        text: str = (pod["metadata"].get("annotations") or {}).get(NUDGE_ANNOTATION, "")
        return text.partition("-")[0] == str(generation)
