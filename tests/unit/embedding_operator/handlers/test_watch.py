"""kopf's registry: what is watched, and that nothing there asks for a finalizer."""

import asyncio
from typing import Any

import kopf
from prometheus_client import CollectorRegistry

from embedding_operator.api.names import Key
from embedding_operator.handlers.engine import Engine
from embedding_operator.handlers.lifecycle import configure
from embedding_operator.handlers.reconcile import Seen
from embedding_operator.handlers.watch import watch_everything
from embedding_operator.metrics import Instruments
from fakes.cluster import FakeCluster

PLURALS = {
    "embeddingservices", "deployments", "services", "serviceaccounts", "configmaps",
    "poddisruptionbudgets", "pods",
}  # fmt: skip


async def _look(key: Key) -> Seen:
    return Seen(True)


def _registered() -> tuple[kopf.OperatorRegistry, Engine]:
    registry = kopf.OperatorRegistry()
    engine = Engine(
        cluster=FakeCluster(),
        reconcile=_look,
        tick=None,
        instruments=Instruments(CollectorRegistry()),
        resync_seconds=60,
    )
    watch_everything(registry, engine)
    return registry, engine


def _handlers(registry: kopf.OperatorRegistry) -> dict[str, Any]:
    found = registry._watching.get_all_handlers()
    return {str(each.selector.any_name): each for each in found if each.selector is not None}


def _wanted(engine: Engine) -> Key:
    async def take() -> Key:
        return await asyncio.wait_for(engine._queue.get(), 5)

    return asyncio.run(take())


def test_resources_children_and_pods_are_watched_by_handlers_that_store_nothing() -> None:
    registry, _ = _registered()
    assert set(_handlers(registry)) == PLURALS
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()


def test_an_event_of_a_resource_names_it() -> None:
    registry, engine = _registered()
    event = {"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "7"}}}
    _handlers(registry)["embeddingservices"].fn(namespace="default", name="clip", event=event)
    assert _wanted(engine) == Key("default", "clip")


def test_an_event_of_a_child_names_its_resource() -> None:
    registry, engine = _registered()
    labels = {"sluice.dev/service": "clip"}
    _handlers(registry)["pods"].fn(namespace="default", labels=labels)
    assert _wanted(engine) == Key("default", "clip")


def test_an_object_without_our_label_names_nobody() -> None:
    registry, engine = _registered()
    _handlers(registry)["pods"].fn(namespace="default", labels={})
    assert len(engine._queue) == 0


def test_the_settings_of_kopf_are_bounded_and_filter_at_the_server() -> None:
    settings = kopf.OperatorSettings()
    configure(settings)
    assert (settings.posting.enabled, settings.scanning.disabled) == (False, True)
    # The API server takes whole seconds only.
    assert str(settings.watching.server_timeout) == "300"
    selectors = settings.watching.label_selectors
    assert len(selectors) == len(PLURALS) - 1
    assert set(selectors.values()) == {"app.kubernetes.io/managed-by=sluice,sluice.dev/service"}
