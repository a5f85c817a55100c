"""Steps 1 to 3: the operator by Helm, one resource by kubectl, and the wait until it is Ready."""

import json
import time
from typing import Any

import yaml
from inside.kubectl import Document, apply, kubectl
from inside.operator import NAMESPACE as SYSTEM
from inside.operator import Operator
from inside.wait import eventually

from demo.play import NAME, NAMESPACE, ROOT, SAMPLE, Play
from demo.stage import USER

READY_SECONDS = 180.0


def install_operator(play: Play) -> None:
    """Install the chart; the operator runs as a Pod with the chart's ServiceAccount."""
    operator = Operator(play.api)
    with play.stage.step("Install the operator with Helm"):
        begin = time.monotonic()
        operator.install()
        seconds = time.monotonic() - begin
        pod = operator.pods()[0]
        account = pod["spec"]["serviceAccountName"]
        play.stage.done(f"chart installed into namespace {SYSTEM}: CRD, roles, operator")
        play.stage.yourself(f"{USER} {operator.command()}")
        play.stage.seen(f"{pod['metadata']['name']} is ready, as {account} with the chart's roles")
        play.targets.most("operator ready after helm install", "s", seconds, 120)


def apply_sample(play: Play) -> None:
    """Apply the sample and wait until the resource says Ready."""
    with play.stage.step("Ask for a service: one resource"):
        gpu = gpus(play)
        begin = time.monotonic()
        apply(sample(gpu))
        play.stage.done(f"{SAMPLE} applied" + (" with gpu.count: 1" if gpu else ""))
        if not gpu:
            play.stage.yourself(f"{USER} kubectl apply -n {NAMESPACE} -f {SAMPLE}")
        found = play.service.wait_condition("Ready", "True", READY_SECONDS)
        seconds = time.monotonic() - begin
        play.stage.seen(f"Ready after {seconds:.1f} s: {found['message']}")
        play.stage.block(kubectl("-n", NAMESPACE, "get", "embsvc", NAME))
        play.stage.block(kubectl("-n", NAMESPACE, "get", "deploy,svc,cm,sa,pdb,pods", "-o", "name"))
        play.targets.most("resource Ready after kubectl apply", "s", seconds, READY_SECONDS)
        kept = play.service.resource()["metadata"].get("finalizers", [])
        play.targets.exactly("finalizers on the resource", "finalizers", len(kept), 0)


def make_namespace() -> None:
    """Make a fresh namespace for the demo."""
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    kubectl("create", "namespace", NAMESPACE)
    path = ("get", "serviceaccount", "-n", NAMESPACE, "-o", "name")
    eventually(lambda: "default" in kubectl(*path), "the namespace is ready", 30)


def gpus(play: Play) -> int:
    """How many GPUs the node offers."""
    nodes = play.api.items("/api/v1/nodes")
    return sum(int(node["status"]["allocatable"].get("nvidia.com/gpu", "0")) for node in nodes)


def sample(gpu: int) -> Document:
    """The sample as it is applied: in the demo's namespace, on a GPU where there is one."""
    document: dict[str, Any] = yaml.safe_load((ROOT / SAMPLE).read_text())
    document["metadata"]["namespace"] = NAMESPACE
    if gpu:
        document["spec"]["gpu"]["count"] = 1
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]
