"""The operator's loop: a work queue of keys, a look at every key from time to time, one at a time.

kopf only feeds the queue. Nothing is remembered here that would be missed after a kill: the
queue refills from the first listing.
"""

from embedding_operator.api.names import Key


class Engine:
    """Reconciles and tunes every resource, each key by one task at a time."""

    def enqueue(self, key: Key, delay_seconds: float = 0.0) -> None:
        """Have a look at the key, at the earliest after the delay. The earliest wish wins."""
        raise NotImplementedError
