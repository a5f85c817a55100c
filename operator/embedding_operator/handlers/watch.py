"""kopf's part: watch resources, their children and their pods, and name the one to look at.

Only low-level event handlers: they store nothing in objects, add no finalizer and write nothing.
What an event says is not used, only whom it is about; the look itself reads the truth.
"""

from typing import Any, Final

import kopf

from embedding_operator.api import names
from embedding_operator.api.names import Key
from embedding_operator.clients.kinds import CHILDREN, POD, Kind
from embedding_operator.handlers.engine import Engine

SETTLE_SECONDS: Final = 0.05
"""Events come in bursts: a rollout changes a pod five times within moments."""


def watch_everything(registry: kopf.OperatorRegistry, engine: Engine) -> None:
    """Register the handlers."""

    def service_changed(
        namespace: str | None, name: str | None, event: kopf.RawEvent, **_: Any
    ) -> None:
        key = Key(namespace or "", name or "")
        if event["type"] == "DELETED":
            engine.sightings.forget(key)
        else:
            version = event["object"]["metadata"].get("resourceVersion", "")
            engine.sightings.saw(key, version)
        engine.enqueue(key)

    def child_changed(namespace: str | None, labels: kopf.Labels, **_: Any) -> None:
        owner = labels.get(names.SERVICE_LABEL)
        if namespace and owner:
            engine.enqueue(Key(namespace, owner), SETTLE_SECONDS)

    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)(service_changed)
    for kind in (*CHILDREN, POD):
        kopf.on.event(*selector(kind), registry=registry)(child_changed)


def only_ours(settings: kopf.OperatorSettings) -> None:
    """Let the API server filter: only objects that we labelled cross the wire."""
    ours = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY},{names.SERVICE_LABEL}"
    for kind in (*CHILDREN, POD):
        settings.watching.label_selectors[selector(kind)] = ours


def selector(kind: Kind) -> tuple[str, str, str]:
    """The kind as kopf names it: group, version, plural; the core group is empty."""
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural
