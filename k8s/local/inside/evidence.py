"""What to look at after a failure, collected while it is still there."""

from collections.abc import Iterable

from inside.errors import CommandFailedError
from inside.kubectl import kubectl

TAIL = "--tail=80"


def collect(namespaces: Iterable[str]) -> str:
    """Resources, conditions, pods, events and logs of some namespaces as one text."""
    return "\n".join(part for namespace in namespaces for part in _namespace(namespace))


def _namespace(namespace: str) -> list[str]:
    parts = [
        _say("-n", namespace, "get", "embsvc", "-o", "yaml"),
        _say("-n", namespace, "get", "deployments,pods,configmaps,services", "-o", "wide"),
        _say("-n", namespace, "get", "events", "--sort-by=.lastTimestamp"),
    ]
    for pod in _names(namespace):
        parts.append(_say("-n", namespace, "logs", pod, "--all-containers", TAIL))
        parts.append(_say("-n", namespace, "logs", pod, "--all-containers", TAIL, "--previous"))
    return parts


def _names(namespace: str) -> list[str]:
    try:
        return kubectl("-n", namespace, "get", "pods", "-o", "name").split()
    except CommandFailedError:
        return []


def _say(*arguments: str) -> str:
    """A command and its output; a command that fails says so instead of hiding the rest."""
    command = "$ kubectl " + " ".join(arguments)
    try:
        return f"{command}\n{kubectl(*arguments)}"
    except CommandFailedError as error:
        return f"{command}\n({error.output.strip()})"
