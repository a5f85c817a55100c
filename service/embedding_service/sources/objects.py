"""Objects of S3 and Google Cloud Storage, and of whatever speaks like them, through obstore.

obstore finds credentials, region and endpoint in the usual variables (AWS_*, GOOGLE_*), in a
mounted web identity token, or at the cloud's metadata service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import GCSStore, S3Store

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageRejected
from embedding_service.sources.budget import Budget
from embedding_service.sources.reference import ObjectName, parse_object

if TYPE_CHECKING:  # obstore's shapes exist for type checkers only
    from obstore.store import ClientConfig, GCSConfig, RetryConfig

Store = S3Store | GCSStore
_S3_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_GCS_ENDPOINT: Final = "GOOGLE_BASE_URL"
_GCS_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
_CHUNK_BYTES: Final = 256 * 1024
_RETRIES: Final = 2

_log = logging.getLogger(__name__)


class ObjectSource:
    """Reads objects below `prefixes`; one store for each bucket, so at most one for each prefix."""

    def __init__(
        self, prefixes: tuple[str, ...], timeout_seconds: float, environ: Mapping[str, str]
    ) -> None:
        self._prefixes = prefixes
        # The caller's own bound comes first, and has the better message.
        self._timeout = timedelta(seconds=timeout_seconds + 1)
        self._environ = environ
        self._stores: dict[tuple[str, str], asyncio.Future[Store]] = {}
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def read(self, reference: str, budget: Budget) -> bytes:
        """Read one object. The caller bounds the time.

        Raises:
            ImageRejected: with the code that fits.
        """
        name = parse_object(reference, self._prefixes)
        try:
            store = await self._store(name)
            return await _read(store, name.key, budget)
        except FileNotFoundError:
            raise ImageRejected(ImageErrorCode.NOT_FOUND, "no such object") from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise ImageRejected(
                ImageErrorCode.FORBIDDEN_SOURCE,
                "the server's credentials may not read this object, or there is no such object",
            ) from None
        except (BaseError, ValueError, OSError) as error:
            # Its text names endpoints and requests: it is for the log, not for clients.
            reason = str(error).partition("\n")[0][:300]
            _log.warning("object store", extra={"bucket": name.bucket, "reason": reason})
            raise ImageRejected(
                ImageErrorCode.UPSTREAM_ERROR,
                f"the object store of the bucket {name.bucket} cannot be read",
            ) from None

    def close(self) -> None:
        """Let the thread end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _store(self, name: ObjectName) -> Store:
        """Return the store of a bucket. Making one reads certificates: a thread does it."""
        key = (name.scheme, name.bucket)
        if key not in self._stores:
            loop = asyncio.get_running_loop()
            self._stores[key] = loop.run_in_executor(self._threads, self._make, name)
        made = self._stores[key]
        try:
            return await asyncio.shield(made)
        except (BaseError, ValueError, OSError):
            self._stores.pop(key, None)  # the next reference tries again
            raise

    def _make(self, name: ObjectName) -> Store:
        if name.scheme == "s3":
            endpoint = next(filter(None, map(self._environ.get, _S3_ENDPOINTS)), "")
            client, retry = self._options(endpoint)
            return S3Store(name.bucket, client_options=client, retry_config=retry)
        emulator = self._environ.get(_GCS_EMULATOR, "")
        if emulator:
            address = emulator if "://" in emulator else f"http://{emulator}"
            client, retry = self._options(address)
            config: GCSConfig = {"base_url": address, "skip_signature": True}
            return GCSStore(name.bucket, config=config, client_options=client, retry_config=retry)
        client, retry = self._options(self._environ.get(_GCS_ENDPOINT, ""))
        return GCSStore(name.bucket, client_options=client, retry_config=retry)

    def _options(self, endpoint: str) -> tuple[ClientConfig, RetryConfig]:
        """Allow plain http only where the server's own settings name an endpoint of that kind."""
        client: ClientConfig = {"timeout": self._timeout, "user_agent": "sluice-server"}
        if endpoint.startswith("http://"):
            client["allow_http"] = True
        return client, {"max_retries": _RETRIES, "retry_timeout": self._timeout}


async def _read(store: Store, key: str, budget: Budget) -> bytes:
    answer = await store.get_async(key)
    budget.check_size(answer.meta["size"])
    image = budget.collect()
    try:
        async for piece in answer.stream(min_chunk_size=_CHUNK_BYTES):
            image.add(memoryview(piece))
        return image.bytes()
    except BaseException:
        image.drop()
        raise
