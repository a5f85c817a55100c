"""Identical images are computed once: those in flight share the work, a cache keeps vectors.

In flight, sameness is found by comparing: length and two short pieces first, then every byte. That
costs nothing where no two images are alike (0.02 ms a MiB where they are; SHA-256 takes 0.47 ms a
MiB, measured). The bytes of images in flight are kept for it, up to a bound; beyond it a digest
takes their place. The cache needs a digest of every image, so its cost is stated and it is off by
default.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Final

from embedding_service.engine.cache import VectorCache
from embedding_service.engine.job import Item, Job, Vectors, Want
from embedding_service.engine.terms import Priority

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Encoded images in flight that are kept to compare with; above that their digests are."""

_PIECE: Final = 32
_Key = tuple[Priority, int, bytes, bytes]


class _Content:
    """What an image in flight looks like: its bytes, or their digest."""

    __slots__ = ("data", "digest")

    def __init__(self, data: bytes | None, digest: bytes | None) -> None:
        self.data = data
        self.digest = digest

    def same(self, data: bytes) -> bool:
        kept = self.data  # another thread may let go of it
        if kept is not None:
            return kept == data
        return self.digest == digest_of(data)


class Sharing:
    """Who works on which image. Every method may be called from any thread."""

    def __init__(
        self, *, in_flight: bool, cache: VectorCache | None = None, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self.cache = cache
        self._in_flight = in_flight
        self._budget = kept_bytes
        self._lock = threading.Lock()
        self._open: dict[_Key, tuple[Item, _Content]] = {}
        self._keys: dict[Item, _Key] = {}

    @property
    def open(self) -> int:
        """Images in flight that others may join."""
        return len(self._open)

    @property
    def cache_bytes(self) -> int:
        """Memory of the cache, 0 where there is none."""
        return self.cache.bytes_held if self.cache is not None else 0

    def cached(self, data: bytes) -> tuple[bytes | None, Vectors | None]:
        """Return the image's digest and its vector, as far as there is a cache that has it."""
        if self.cache is None:
            return None, None
        digest = digest_of(data)
        return digest, self.cache.get(digest)

    def enter(self, job: Job, index: int, data: bytes, digest: bytes | None) -> Item | None:
        """Return the item to work on, or None: the same image is in flight and was joined.

        Bulk work joins any other. Live work joins only live work: joining an album's image would
        mean waiting in its place.
        """
        want: Want = (job, index)
        priority = job.terms.priority
        item = Item([want], priority, digest=digest)
        if not self._in_flight:
            return item
        keys = _keys(priority, data)
        for _ in range(2):  # again when another thread was first in between
            if any(self._joined(key, want, data) for key in keys):
                return None
            if self._registered(item, keys[0], data):
                break
        return item  # not registered: it only looks like another one, and is worked on alone

    def abandoned(self, item: Item, now: float) -> bool:
        """Say whether nobody waits for this image any more; if so nobody can join it either."""
        with self._lock:
            if not all(job.gone(now) for job, _ in item.wants):
                return False
            self._forget(item)
            return True

    def finish(self, item: Item, vector: Vectors | None) -> list[Want]:
        """Close the item and return everybody who waits for it. `vector` None: it failed."""
        with self._lock:
            self._forget(item)
        if vector is not None and item.digest is not None and self.cache is not None:
            self.cache.put(item.digest, vector)
        return item.wants

    def _joined(self, key: _Key, want: Want, data: bytes) -> bool:
        entry = self._open.get(key)
        if entry is None or not entry[1].same(data):  # compared without the lock: it may take long
            return False
        with self._lock:
            if self._open.get(key) is not entry:
                return False
            entry[0].wants.append(want)
            return True

    def _registered(self, item: Item, key: _Key, data: bytes) -> bool:
        content = _Content(None, item.digest)
        if content.digest is None:
            with self._lock:
                fits = len(data) <= self._budget
                self._budget -= len(data) if fits else 0
            content = _Content(data, None) if fits else _Content(None, digest_of(data))
        with self._lock:
            if key not in self._open:
                self._open[key] = (item, content)
                self._keys[item] = key
                return True
            if content.data is not None:
                self._budget += len(content.data)
            return False

    def _forget(self, item: Item) -> None:
        key = self._keys.pop(item, None)
        if key is None:
            return
        _, content = self._open.pop(key)
        if content.data is not None:
            self._budget += len(content.data)
            content.digest, content.data = b"", None  # nobody joins any more


def digest_of(data: bytes) -> bytes:
    """Return the SHA-256 of an encoded image; it holds no interpreter lock."""
    return hashlib.sha256(data).digest()


def make_sharing(*, in_flight: bool, cache_bytes: int, looked: Callable[[bool], None]) -> Sharing:
    """Return the sharing that the settings ask for; 0 bytes mean no cache. See `VectorCache`."""
    cache = VectorCache(cache_bytes, looked) if cache_bytes else None
    return Sharing(in_flight=in_flight, cache=cache)


def _keys(priority: Priority, data: bytes) -> tuple[_Key, ...]:
    """Return under which keys an image may be in flight, its own first."""
    size, middle = len(data), len(data) // 2
    pieces = (size, data[middle : middle + _PIECE], data[-_PIECE:])
    own: _Key = (priority, *pieces)
    return (own,) if priority == "live" else (own, ("live", *pieces))
