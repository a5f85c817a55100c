"""Whether the watch still tells: a listing that knows more than the watch, twice, convicts it.

kopf's watches cannot be asked how old they are, and a silent one looks like a quiet cluster. So
each resync compares: a version that was listed and that the watch has still not shown at the next
resync means that nothing arrives any more.
"""

from collections.abc import Mapping

from embedding_operator.api.names import Key


class Sightings:
    """The last version of each resource that the watch showed."""

    def __init__(self) -> None:
        self._seen: dict[Key, str] = {}
        self._at_begin: dict[Key, str] = {}
        self._since: set[Key] = set()
        self._pending: set[Key] = set()
        self.missed: Key | None = None
        """A resource whose change never arrived; None while the watch is fine."""

    def saw(self, key: Key, version: str) -> None:
        """The watch showed this version."""
        self._seen[key] = version
        self._since.add(key)
        self._clear(key)

    def forget(self, key: Key) -> None:
        """The resource is gone."""
        self._seen.pop(key, None)
        self._since.discard(key)
        self._clear(key)

    def listing_begins(self) -> None:
        """From now on, what the watch shows may be newer than what the listing will say."""
        self._since.clear()
        self._at_begin = dict(self._seen)

    def compare(self, versions: Mapping[Key, str]) -> None:
        """Compare with the listing that began at `listing_begins`."""
        for key, version in versions.items():
            if key in self._since or self._at_begin.get(key) == version:
                self._clear(key)
            elif key in self._pending:
                self.missed = key
            else:
                self._pending.add(key)

    def _clear(self, key: Key) -> None:
        self._pending.discard(key)
        if key == self.missed:
            self.missed = None
