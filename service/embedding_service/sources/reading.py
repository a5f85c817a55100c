"""One door to every place where images lie: URLs, object stores, the local folder.

Each image fails alone, order is kept, and everything is bounded: fetches at a time in the whole
server and in one request, seconds of one image and of all images of a request, bytes likewise.
A request that is cancelled cancels its fetches.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from embedding_contract.endpoints import ImageErrorCode
from embedding_service.errors import ImageFailure, ImageRejected
from embedding_service.settings import ServerSettings
from embedding_service.sources.budget import Budget
from embedding_service.sources.folder import FolderSource
from embedding_service.sources.guard import Policy, forbidden
from embedding_service.sources.objects import ObjectSource
from embedding_service.sources.reference import kind_of
from embedding_service.sources.resolver import Resolve, SystemResolver
from embedding_service.sources.urls import UrlSource

SHARE: Final = 4
"""One request may use at most one of this many parts of all fetches, so that four can go on."""
ROUNDS: Final = 4
"""All images of one request together may take this many times the time of one image: a request
that waits for dead hosts holds a permit."""

Found = dict[str, bytes | ImageFailure]


class Sources:
    """Reads images by reference. `fetched` hears the seconds that each of them took."""

    def __init__(
        self,
        settings: ServerSettings,
        fetched: Callable[[float], None] = lambda seconds: None,
        resolve: Resolve | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Open nothing yet; connections are made when they are needed.

        Args:
            settings: what may be fetched, and how much.
            fetched: called for each image, on the event loop or in a thread.
            resolve: gives the addresses of a name; None asks the system.
            environ: where endpoints of object stores are named.
        """
        self._settings = settings
        self._fetched = fetched
        policy = Policy(settings.fetch_urls, settings.fetch_hosts, settings.fetch_networks)
        self._resolver = SystemResolver(absolute=policy.only_public)
        self._urls = UrlSource(
            policy,
            resolve or self._resolver,
            max_redirects=settings.fetch_redirects,
            connections=settings.fetch_concurrency,
        )
        self._objects = ObjectSource(
            settings.object_prefixes, settings.fetch_timeout_seconds, environ
        )
        folder = settings.image_folder
        self.folder = (
            None if folder is None else FolderSource(folder, settings.max_image_bytes, fetched)
        )
        self._slots = asyncio.Semaphore(settings.fetch_concurrency)

    async def read(self, references: Sequence[str]) -> list[bytes | ImageFailure]:
        """Read the images; order is kept, one bad reference fails alone, a double is read once."""
        names = [one for one in dict.fromkeys(references) if kind_of(one) == "name"]
        addresses = [one for one in dict.fromkeys(references) if kind_of(one) != "name"]
        async with asyncio.TaskGroup() as group:
            local = group.create_task(self._read_folder(names))
            remote = group.create_task(self._read_addresses(addresses))
        found = local.result() | remote.result()
        return [found[reference] for reference in references]

    async def close(self) -> None:
        """Close connections and let threads end."""
        if self.folder is not None:
            self.folder.close()
        self._objects.close()
        self._resolver.close()
        await self._urls.close()

    async def _read_folder(self, names: Sequence[str]) -> Found:
        if not names:
            return {}
        if self.folder is None:
            failure = ImageFailure(
                ImageErrorCode.FORBIDDEN_SOURCE, "this server has no image folder"
            )
            return dict.fromkeys(names, failure)
        return dict(zip(names, await self.folder.read(names), strict=True))

    async def _read_addresses(self, references: Sequence[str]) -> Found:
        """Fetch side by side; what has no turn in time fails with a timeout."""
        settings = self._settings
        seconds = ROUNDS * settings.fetch_timeout_seconds
        late = ImageFailure(
            ImageErrorCode.TIMEOUT,
            f"the images of this request took longer than {seconds:g} s together: send fewer",
        )
        found: Found = dict.fromkeys(references, late)
        budget = Budget(settings.max_image_bytes, settings.max_fetch_bytes)
        waiting = iter(references)
        workers = min(len(references), max(1, settings.fetch_concurrency // SHARE))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work_off(waiting, found, budget))
        return found

    async def _work_off(self, waiting: Iterator[str], found: Found, budget: Budget) -> None:
        for reference in waiting:
            async with self._slots:
                found[reference] = await self._fetch(reference, budget)

    async def _fetch(self, reference: str, budget: Budget) -> bytes | ImageFailure:
        seconds = self._settings.fetch_timeout_seconds
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                return await self._read_one(reference, budget)
        except ImageRejected as rejected:
            return rejected.failure
        except TimeoutError:
            return ImageFailure(ImageErrorCode.TIMEOUT, f"it took longer than {seconds:g} s")
        finally:
            self._fetched(time.perf_counter() - started)

    async def _read_one(self, reference: str, budget: Budget) -> bytes:
        kind = kind_of(reference)
        if kind == "url":
            return await self._urls.read(reference, budget)
        if kind == "object":
            return await self._objects.read(reference, budget)
        raise forbidden("only http, https, s3 and gs addresses can be fetched")
