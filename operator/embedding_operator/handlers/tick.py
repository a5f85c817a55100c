"""The tuner as the engine calls it. `handlers/tune.py` fulfils it; tests put their own in place."""

from typing import Protocol

from embedding_operator.api.names import Key
from embedding_operator.clients.cluster import Cluster


class TunerTick(Protocol):
    """One look of the tuner at one resource.

    Called under the key's lock, right after a reconcile. It reads, decides, writes status
    (through handlers/report.py) and returns; the engine then reconciles at once when the answer
    is True (the wanted setting changed).
    """

    async def __call__(self, key: Key, cluster: Cluster, now: float) -> bool:
        """Look once. `now` is seconds since the epoch."""
        ...
