"""Texts: one thread that batches short texts across requests, apart from the image lanes.

A search query must not wait behind a request of fifty images.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedding_service.engine.deadline import before
from embedding_service.engine.lines import TwoLines
from embedding_service.engine.terms import Terms
from embedding_service.errors import ServerFault

_log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]


@dataclass(eq=False, slots=True)
class _Request:
    texts: Sequence[str]
    future: asyncio.Future[Vectors]
    loop: asyncio.AbstractEventLoop
    terms: Terms

    def gone(self) -> bool:
        return self.future.cancelled() or time.monotonic() > self.terms.deadline


class TextThread:
    """Calls `encode(texts) -> float32 [texts, dimensions]` in its own thread, live ones first."""

    def __init__(self, encode: Callable[[Sequence[str]], Vectors], max_batch: int) -> None:
        self._encode = encode
        self._max_batch = max_batch
        self._requests: TwoLines[_Request] = TwoLines()
        self._change = threading.Condition()
        self._closed = False
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="texts", daemon=True)
        self._thread.start()

    async def embed(
        self,
        texts: Sequence[str],
        terms: Terms = Terms(),  # noqa: B008 - it is frozen
    ) -> list[Vectors]:
        """Return one unit vector for each text, in order.

        Raises:
            DeadlineExceeded: the time that `terms` gives is over.
            ServerFault: the encoder failed or this thread is closed.
        """
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        request = _Request(texts, loop.create_future(), loop, terms)
        with self._change:
            if self._closed:
                raise ServerFault("the server is closing")
            self._requests.push(request, terms.priority)
            self._change.notify()
        async with before(terms.deadline):
            return list(await request.future)

    def problem(self, now: float, limit_seconds: float) -> str | None:
        """Return why texts make no progress, or None. `now` is time.monotonic()."""
        since = self._busy_since
        if since is not None and now - since > limit_seconds:
            return f"the text thread has been on one batch for {now - since:.0f} s"
        return None

    def close(self, timeout_seconds: float) -> None:
        """Finish what is queued, then end; wait for that at most this long."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while batch := self._take():
            self._answer(batch)
            self._busy_since = None

    def _take(self) -> list[_Request]:
        """Wait for work; take whole requests up to the batch limit, one at least."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._requests or self._closed)
                if not self._requests:
                    return []
                batch: list[_Request] = []
                size = 0
                while self._requests:
                    if batch and size + len(self._requests.head().texts) > self._max_batch:
                        break
                    request = self._requests.turn()
                    if not request.gone():
                        batch.append(request)
                        size += len(request.texts)
                if batch:
                    return batch

    def _answer(self, batch: list[_Request]) -> None:
        texts = [text for request in batch for text in request.texts]
        try:
            parts = [
                self._encode_batch(texts[start : start + self._max_batch])
                for start in range(0, len(texts), self._max_batch)
            ]
        except Exception:  # noqa: BLE001 - the thread outlives a bad batch; each caller hears of it
            _log.exception("could not embed %d texts", len(texts))
            fault = ServerFault("the model failed on a batch of texts; try again")
            for request in batch:
                _tell(request, fault)
            return
        rows, start = np.concatenate(parts), 0
        for request in batch:
            _tell(request, rows[start : start + len(request.texts)])
            start += len(request.texts)

    def _encode_batch(self, texts: Sequence[str]) -> Vectors:
        self._busy_since = time.monotonic()  # each forward pass has the whole time
        return self._encode(texts)


def _tell(request: _Request, answer: "Vectors | ServerFault") -> None:
    try:
        request.loop.call_soon_threadsafe(_settle, request.future, answer)
    except RuntimeError:  # its event loop is closed: nobody waits
        _log.debug("a text request was gone before its answer")


def _settle(future: "asyncio.Future[Vectors]", answer: "Vectors | ServerFault") -> None:
    if future.done():
        return
    if isinstance(answer, ServerFault):
        future.set_exception(answer)
    else:
        future.set_result(answer)
