"""Kubernetes events of one resource. The same thing again counts up instead of piling up."""

import hashlib
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from embedding_operator.api.names import API_VERSION, FIELD_MANAGER, KIND
from embedding_operator.api.service import EmbeddingService, Manifest
from embedding_operator.clients.cluster import ServiceEvent

REMEMBERED: Final = 2048
MAX_MESSAGE: Final = 1024


class EventBook:
    """Turns what happened into Event objects, whose names follow from what they say."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def entry(self, service: EmbeddingService, event: ServiceEvent, now: float) -> Manifest:
        """The object to apply; `now` in epoch seconds."""
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"{service.key.name}.{_fingerprint(service, event)}"
        count, first = self._seen.pop(name, (0, moment))
        self._seen[name] = (count + 1, first)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": service.key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": service.key.namespace,
                "name": service.key.name,
                "uid": service.uid,
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:MAX_MESSAGE],
            "count": count + 1,
            "firstTimestamp": first,
            "lastTimestamp": moment,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": FIELD_MANAGER,
        }


def _fingerprint(service: EmbeddingService, event: ServiceEvent) -> str:
    text = "\n".join((service.uid, event.type, event.reason, event.message))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
