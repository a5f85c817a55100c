"""The one writer of status: completes the summary, writes only what changed."""

from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.assess.summary import summarise
from embedding_operator.clients.cluster import Cluster


async def report(
    cluster: Cluster, service: EmbeddingService, status: EmbeddingServiceStatus
) -> EmbeddingService:
    """Write `status` when it says something else than the resource's; returns the resource after.

    Raises:
        Conflict: the resource changed since `service` was read; read again and decide again.
    """
    complete = status.model_copy(update={"summary": summarise(service.spec, status)})
    if complete == service.status:
        return service
    return await cluster.write_status(service, complete)
