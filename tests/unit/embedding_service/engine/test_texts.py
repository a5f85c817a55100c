"""Texts are batched across requests, keep their order and fail only with their batch."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from embedding_service.engine.texts import TextThread
from embedding_service.errors import ServerFault


class Encoder:
    """Counts batches; waits for its gate; one number for each text."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self._begun = threading.Event()
        self.gate.set()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.batches.append(list(texts))
        self._begun.set()
        self.gate.wait(10)
        if "broken" in texts:
            raise RuntimeError("cannot read this")
        return np.array([[len(text), 1] for text in texts], np.float32)

    async def first_batch(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 10)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def texts(encoder: Encoder) -> Iterator[TextThread]:
    thread = TextThread(encoder, max_batch=3)
    yield thread
    encoder.gate.set()
    thread.close(10)


def test_each_text_gets_its_vector_in_order(texts: TextThread) -> None:
    vectors = asyncio.run(texts.embed(["a", "bbb", "cc", "dddd"]))
    assert [vector[0] for vector in vectors] == [1, 3, 2, 4]


def test_no_text_is_no_work(texts: TextThread, encoder: Encoder) -> None:
    assert asyncio.run(texts.embed([])) == []
    assert encoder.batches == []


def test_requests_that_wait_together_are_computed_together(
    texts: TextThread, encoder: Encoder
) -> None:
    async def scenario() -> None:
        encoder.gate.clear()
        tasks = [asyncio.create_task(texts.embed(["first"]))]
        await encoder.first_batch()
        tasks += [asyncio.create_task(texts.embed([text])) for text in ("b", "cc", "ddd", "e")]
        await asyncio.sleep(0)
        encoder.gate.set()
        found = await asyncio.gather(*tasks)
        assert [vectors[0][0] for vectors in found] == [5, 1, 2, 3, 1]

    asyncio.run(scenario())
    assert encoder.batches == [["first"], ["b", "cc", "ddd"], ["e"]]


def test_a_batch_that_fails_tells_its_callers_and_the_thread_lives_on(texts: TextThread) -> None:
    async def scenario() -> None:
        with pytest.raises(ServerFault, match="failed on a batch of texts"):
            await texts.embed(["broken"])
        assert len(await texts.embed(["fine"])) == 1

    asyncio.run(scenario())


def test_a_cancelled_request_is_not_computed(texts: TextThread, encoder: Encoder) -> None:
    async def scenario() -> None:
        encoder.gate.clear()
        first = asyncio.create_task(texts.embed(["first"]))
        await encoder.first_batch()
        second = asyncio.create_task(texts.embed(["second"]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        encoder.gate.set()
        await first
        await texts.embed(["third"])

    asyncio.run(scenario())
    assert encoder.batches == [["first"], ["third"]]


def test_a_thread_that_hangs_is_told(texts: TextThread, encoder: Encoder) -> None:
    async def scenario() -> None:
        encoder.gate.clear()
        task = asyncio.create_task(texts.embed(["slow"]))
        await encoder.first_batch()
        assert "text thread" in (texts.problem(1e12, 60) or "")
        encoder.gate.set()
        await task

    assert texts.problem(1e12, 60) is None
    asyncio.run(scenario())


def test_a_closed_thread_takes_nothing(encoder: Encoder) -> None:
    thread = TextThread(encoder, 3)
    thread.close(10)
    with pytest.raises(ServerFault, match="closing"):
        asyncio.run(thread.embed(["late"]))
