"""The real cluster, through the official client: every call in a thread, every call with a limit.

Manifests stay plain JSON: typed models of the client would drop fields that are newer than it.
"""

import asyncio
import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import urllib3
from kubernetes import client as library
from kubernetes import config as library_config

from embedding_operator.api.names import FIELD_MANAGER, Key, selector_text
from embedding_operator.api.service import EmbeddingService, Manifest, parse_service
from embedding_operator.api.status import EmbeddingServiceStatus
from embedding_operator.clients.cluster import ServiceEvent
from embedding_operator.clients.events import EventBook
from embedding_operator.clients.kinds import EVENT, SERVICES, Kind, kind_of
from embedding_operator.errors import (
    CannotStart,
    ClusterError,
    Conflict,
    Forbidden,
    Missing,
    Refused,
)

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
THREADS: Final = 16
PAGE: Final = 500
Manifests = list[Manifest]
_ERRORS: Final[Mapping[int, type[ClusterError]]] = {
    400: Refused, 403: Forbidden, 404: Missing, 409: Conflict, 422: Refused,
}  # fmt: skip


# The client ships no types for these.
_load_incluster: Callable[..., None] = library_config.load_incluster_config
_load_kubeconfig: Callable[..., None] = library_config.load_kube_config


def connect() -> library.ApiClient:
    """Log in: in the cluster with the ServiceAccount, else with the kubeconfig.

    Raises:
        CannotStart: neither is there.
    """
    configuration = library.Configuration()
    try:
        _load_incluster(client_configuration=configuration)
    except library_config.ConfigException:
        try:
            _load_kubeconfig(client_configuration=configuration)
        except (library_config.ConfigException, OSError) as error:
            raise CannotStart(
                "no cluster is configured: run it in a cluster, or set KUBECONFIG to a file that "
                f"kubectl can use ({error})"
            ) from error
    # One more try for a connection that the server closed while it was idle; no status retries.
    configuration.retries = urllib3.Retry(connect=1, read=1, redirect=0, status=0, other=0)
    configuration.connection_pool_maxsize = THREADS
    return library.ApiClient(configuration)


class ApiServer:
    """Fulfils `clients.cluster.Cluster`.

    Args:
        api: the logged-in client.
        namespaces: those to serve; empty means all.
        wrote: hears the kind of every write, for the operator's own metrics.
    """

    def __init__(
        self,
        api: library.ApiClient,
        namespaces: Sequence[str] = (),
        wrote: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._api = api
        self._namespaces = tuple(namespaces)
        self._wrote = wrote
        self._events = EventBook()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apiserver")

    @property
    def address(self) -> str:
        """Where the API server is."""
        return str(self._api.configuration.host)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._api.rest_client.close()

    async def services(self) -> list[EmbeddingService]:
        """See `Cluster`."""
        places: tuple[str | None, ...] = self._namespaces or (None,)
        found = [each for place in places for each in await self._pages(SERVICES.path(place), {})]
        return [parse_service(each) for each in found]

    async def service(self, key: Key) -> EmbeddingService | None:
        """See `Cluster`."""
        manifest = await self.get(SERVICES, key)
        return None if manifest is None else parse_service(manifest)

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """See `Cluster`."""
        try:
            return await self._call("GET", kind.path(key.namespace, key.name))
        except Missing:
            return None

    async def list(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> Manifests:
        """See `Cluster`."""
        query = {"labelSelector": selector_text(dict(labels))} if labels else {}
        found = await self._pages(kind.path(namespace), query)
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **each} for each in found]

    async def apply(self, manifest: Manifest) -> Manifest:
        """See `Cluster`."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        live = await self._call(
            "PATCH",
            kind.path(metadata["namespace"], metadata["name"]),
            {"fieldManager": FIELD_MANAGER, "force": "true"},
            "application/apply-patch+yaml",
            manifest,
        )
        self._wrote(kind.kind)
        return live

    async def overwrite(self, manifest: Manifest) -> None:
        """See `Cluster`."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path, query = (
            kind.path(metadata["namespace"], metadata["name"]),
            {"fieldManager": FIELD_MANAGER},
        )
        await self._call("PATCH", path, query, "application/merge-patch+json", manifest)
        self._wrote(kind.kind)

    async def annotate(self, kind: Kind, key: Key, annotations: Mapping[str, str]) -> None:
        """See `Cluster`."""
        body = {"metadata": {"annotations": dict(annotations)}}
        path, query = kind.path(key.namespace, key.name), {"fieldManager": FIELD_MANAGER}
        try:
            await self._call("PATCH", path, query, "application/merge-patch+json", body)
        except Missing:
            return
        self._wrote(kind.kind)

    async def write_status(
        self, service: EmbeddingService, status: EmbeddingServiceStatus
    ) -> EmbeddingService:
        """See `Cluster`. The resource's version goes along: a change in between is a Conflict."""
        document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion",
             "value": service.resource_version},
            {"op": "add", "path": "/status", "value": document},
        ]  # fmt: skip
        live = await self._call(
            "PATCH",
            SERVICES.path(service.key.namespace, service.key.name, "status"),
            {"fieldManager": FIELD_MANAGER},
            "application/json-patch+json",
            patch,
        )
        self._wrote(f"{SERVICES.kind}/status")
        return parse_service(live)

    async def emit(self, service: EmbeddingService, event: ServiceEvent) -> None:
        """See `Cluster`."""
        manifest = self._events.entry(service, event, time.time())
        path = EVENT.path(service.key.namespace, manifest["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        try:
            await self._call("PATCH", path, query, "application/apply-patch+yaml", manifest)
        except ClusterError as error:
            log.warning("%s: the event %s was not recorded: %s", service.key, event.reason, error)
            return
        self._wrote(EVENT.kind)

    async def _pages(self, path: str, query: Mapping[str, str]) -> Manifests:
        found: Manifests = []
        more = ""
        while True:
            page = {"limit": str(PAGE), **query, **({"continue": more} if more else {})}
            answer = await self._call("GET", path, page)
            found += answer.get("items") or []
            more = answer.get("metadata", {}).get("continue") or ""
            if not more:
                return found

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content_type: str = "",
        body: object = None,
    ) -> Manifest:
        call = functools.partial(
            self._blocking, method, path, dict(query or {}), content_type, body
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _blocking(
        self, method: str, path: str, query: dict[str, str], content_type: str, body: object
    ) -> Manifest:
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        request = self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._api.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
            text: bytes = answer.response.data
        except (urllib3.exceptions.HTTPError, library.ApiException, OSError) as error:
            raise ClusterError(
                f"the API server at {self.address} did not answer: {error}"
            ) from error
        return _read(answer.status, text, f"{method} {path}")


def _read(status: int, text: bytes, what: str) -> Manifest:
    """The answer's object, or the error that it stands for."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = {"message": text[:200].decode(errors="replace")}
    if 200 <= status < 300 and isinstance(document, dict):
        return document
    message = document.get("message") if isinstance(document, dict) else None
    raise _ERRORS.get(status, ClusterError)(message or f"{what} was answered with {status}")
