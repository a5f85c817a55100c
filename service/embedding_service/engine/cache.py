"""A bounded cache: content digest -> vector, least recently used out first."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np

from embedding_service.engine.job import Vectors

ENTRY_BYTES: Final = 512
"""What an entry takes beside its numbers: key, array header, place in the order. Measured at about
400 with CPython 3.11; rounded up."""


class VectorCache:
    """Holds at most `max_bytes`, overhead included. Every method may be called from any thread."""

    def __init__(self, max_bytes: int, looked: Callable[[bool], None] = lambda hit: None) -> None:
        """`looked` hears of each look whether it was a hit."""
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, Vectors] = OrderedDict()
        self._bytes = 0
        self._looked = looked

    @property
    def bytes_held(self) -> int:
        """Bytes in use."""
        return self._bytes

    def __len__(self) -> int:
        """Return the number of vectors held."""
        return len(self._vectors)

    def get(self, digest: bytes) -> Vectors | None:
        """Return the vector (float32 [dimensions], not to be written to), None when not held."""
        with self._lock:
            vector = self._vectors.get(digest)
            if vector is not None:
                self._vectors.move_to_end(digest)
        self._looked(vector is not None)
        return vector

    def put(self, digest: bytes, vector: Vectors) -> None:
        """Keep a copy of one vector; what was not used for longest makes room."""
        copy = np.array(vector, np.float32)
        size = copy.nbytes + ENTRY_BYTES
        if size > self._max_bytes:
            return
        with self._lock:
            before = self._vectors.pop(digest, None)
            if before is not None:
                self._bytes -= before.nbytes + ENTRY_BYTES
            self._vectors[digest] = copy
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, oldest = self._vectors.popitem(last=False)
                self._bytes -= oldest.nbytes + ENTRY_BYTES
