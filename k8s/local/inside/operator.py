"""The operator in the cluster: installed from the chart, a Pod with the chart's rights."""

from pathlib import Path

from sluice_local.addresses import PROMETHEUS_URL

from inside.kubectl import Api, Document, run, shown
from inside.wait import eventually

ROOT = Path(__file__).resolve().parents[3]
RELEASE = "sluice"
NAMESPACE = "sluice-system"
DEPLOYMENT = "sluice-operator"
INSTALL = (
    "helm", "upgrade", "--install", RELEASE, "charts/sluice",
    "--namespace", NAMESPACE, "--create-namespace",
    "--set", f"prometheus.address={PROMETHEUS_URL}",
)  # fmt: skip


class Operator:
    """The operator of the release."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def install(self) -> str:
        """Install or upgrade the chart and wait until the operator is ready; what Helm said."""
        command = [str(ROOT / part) if part.startswith("charts/") else part for part in INSTALL]
        said = run(command)
        eventually(self.ready, "the operator's pod is ready", 120, last=self.state)
        return said

    @staticmethod
    def command() -> str:
        """The command for a person."""
        return shown(INSTALL)

    def pods(self) -> list[Document]:
        """The operator's pods that are not going away."""
        pods = self._api.items(
            f"/api/v1/namespaces/{NAMESPACE}/pods",
            f"app.kubernetes.io/component=operator,app.kubernetes.io/instance={RELEASE}",
        )
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def ready(self) -> bool:
        """Whether the Deployment is rolled out and its one pod is ready."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{DEPLOYMENT}"
        deployment = self._api.get(path)
        if not deployment:
            return False
        status = deployment.get("status", {})
        observed = status.get("observedGeneration") == deployment["metadata"]["generation"]
        return bool(
            observed and status.get("updatedReplicas") == status.get("availableReplicas") == 1
        )

    def state(self) -> str:
        """The pods' states in words, for a message."""
        return "; ".join(pod_state(pod) for pod in self.pods()) or "no pod"

    def restarts(self) -> int:
        """How often the operator's containers were started again."""
        return sum(restarts(pod) for pod in self.pods())


def restarts(pod: Document) -> int:
    """How often a pod's containers were started again."""
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))


def pod_state(pod: Document) -> str:
    """A pod's state in words: its phase, and why it waits."""
    waiting = [
        f"{each['state']['waiting'].get('reason')}: {each['state']['waiting'].get('message', '')}"
        for each in pod["status"].get("containerStatuses", [])
        if "waiting" in each.get("state", {})
    ]
    return " ".join([pod["metadata"]["name"], pod["status"].get("phase", "?"), *waiting])
