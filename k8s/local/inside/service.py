"""One EmbeddingService: what its status says, what its pods say, and where it listens."""

import json
from collections.abc import Mapping
from typing import Any, cast

import httpx

from embedding_contract.endpoints import PORT, TUNING_PATH
from embedding_contract.report import TuningReport, parse_report
from inside.kubectl import GROUP, Api, Document, kubectl
from inside.wait import eventually

CONDITIONS = ("Ready", "Progressing", "Degraded", "TuningInForce", "MetricsAvailable")


class Service:
    """An EmbeddingService by namespace and name."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self.api = api
        self.namespace = namespace
        self.name = name
        # trust_env=False: a proxy of the environment leads out of the cluster.
        self.http = httpx.Client(timeout=30, trust_env=False)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def resource(self) -> Document:
        """The resource; empty when it is not there."""
        return self.api.get(f"{GROUP}/namespaces/{self.namespace}/embeddingservices/{self.name}")

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One condition; empty while it is not there."""
        return condition_of(self.resource(), kind)

    def conditions(self) -> str:
        """All conditions in words, for a message."""
        found = self.resource().get("status", {}).get("conditions", [])
        lines = [f"{each['type']}={each['status']} ({each['reason']})" for each in found]
        ready = condition_of({"status": {"conditions": found}}, "Ready").get("message", "")
        return f"{', '.join(lines)}; {ready}" if lines else "no conditions"

    def wait_condition(self, kind: str, status: str, seconds: float) -> Mapping[str, Any]:
        """Wait until a condition has a status and belongs to the spec as it is now.

        Raises:
            TooLateError: it did not come true; the message has all conditions.
        """

        def check() -> Mapping[str, Any] | None:
            resource = self.resource()
            found = condition_of(resource, kind)
            current = found.get("observedGeneration") == resource["metadata"]["generation"]
            return found if found.get("status") == status and current else None

        what = f"{kind}={status} on {self.namespace}/{self.name}"
        return eventually(check, what, seconds, last=self.conditions)

    def pool(self) -> Document:
        """Status of the pool `default`; empty while it is not there."""
        pools = self.resource().get("status", {}).get("pools", [])
        return cast("Document", next((each for each in pools if each["name"] == "default"), {}))

    def memory(self) -> Document:
        """What the tuner remembers of the pool."""
        return cast("Document", self.pool().get("tuning") or {})

    def patch(self, spec: Document) -> str:
        """`kubectl patch` the spec, as a user does; what kubectl said."""
        return kubectl(
            "-n", self.namespace, "patch", "embsvc", self.name, "--type=merge",
            "-p", json.dumps({"spec": spec}),
        )  # fmt: skip

    def pods(self) -> list[Document]:
        """The server's pods."""
        return self.api.items(
            f"/api/v1/namespaces/{self.namespace}/pods", f"sluice.dev/service={self.name}"
        )

    def url(self) -> str:
        """The Service's address inside the cluster.

        Raises:
            KeyError: there is no Service.
        """
        service = self.api.get(f"/api/v1/namespaces/{self.namespace}/services/{self.name}")
        spec = service["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def reports(self) -> list[TuningReport]:
        """What every pod says of itself in GET /v1/tuning."""
        return [self.report(pod["status"]["podIP"]) for pod in self.pods()]

    def report(self, address: str) -> TuningReport:
        """What the pod at an address says of itself in GET /v1/tuning."""
        answer = self.http.get(f"http://{address}:{PORT}{TUNING_PATH}")
        answer.raise_for_status()
        return parse_report(answer.json())


def condition_of(resource: Document, kind: str) -> Mapping[str, Any]:
    """One condition of a resource; empty while it is not there."""
    conditions: list[Document] = resource.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})
