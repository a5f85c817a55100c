"""The pool takes images in order, changes size live and drops what was cancelled."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from embedding_service.engine.decode_pool import DecodePool
from embedding_service.engine.job import Job
from embedding_service.errors import Overloaded


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def pools() -> Iterator[list[DecodePool]]:
    made: list[DecodePool] = []
    yield made
    for pool in made:
        pool.close(10)


class Gate:
    """Work that waits until the gate opens, and remembers what was done by whom."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.started: list[int] = []
        self.threads: set[str] = set()

    def work(self, job: Job, index: int) -> None:
        self.started.append(index)
        self.threads.add(threading.current_thread().name)
        self.open.wait(10)


def eventually(true: Callable[[], bool]) -> bool:
    done = threading.Event()
    for _ in range(10_000):
        if true():
            return True
        done.wait(0.001)
    return False


def test_images_are_taken_in_order_by_named_threads(
    loop: asyncio.AbstractEventLoop, pools: list[DecodePool]
) -> None:
    gate = Gate()
    gate.open.set()
    pools.append(DecodePool(gate.work, 1, max_jobs=4))
    pools[0].submit(Job([b"x"] * 5, 2, loop))
    assert eventually(lambda: gate.started == [0, 1, 2, 3, 4])
    assert gate.threads == {"decode-0"}


def test_growing_takes_effect_at_once_and_shrinking_after_the_image_in_hand(
    loop: asyncio.AbstractEventLoop, pools: list[DecodePool]
) -> None:
    gate = Gate()
    pool = DecodePool(gate.work, 1, max_jobs=4)
    pools.append(pool)
    pool.submit(Job([b"x"] * 20, 2, loop))
    assert eventually(lambda: len(gate.started) == 1)
    pool.resize(4)
    assert eventually(lambda: len(gate.started) == 4)
    pool.resize(2)
    assert (pool.workers, pool.threads) == (2, 4)
    gate.open.set()
    assert eventually(lambda: pool.threads == 2)
    assert eventually(lambda: len(gate.started) == 20)


def test_a_thread_that_is_wanted_again_before_it_left_stays(
    loop: asyncio.AbstractEventLoop, pools: list[DecodePool]
) -> None:
    gate = Gate()
    pool = DecodePool(gate.work, 3, max_jobs=4)
    pools.append(pool)
    pool.submit(Job([b"x"] * 30, 2, loop))
    assert eventually(lambda: len(gate.started) == 3)
    pool.resize(1)
    pool.resize(3)
    gate.open.set()
    assert eventually(lambda: len(gate.started) == 30)
    assert pool.threads == 3


def test_idle_threads_leave_too(pools: list[DecodePool]) -> None:
    pool = DecodePool(lambda job, index: None, 5, max_jobs=1)
    pools.append(pool)
    pool.resize(1)
    assert eventually(lambda: pool.threads == 1)


def test_a_cancelled_request_is_dropped_from_the_queue(
    loop: asyncio.AbstractEventLoop, pools: list[DecodePool]
) -> None:
    gate = Gate()
    pool = DecodePool(gate.work, 1, max_jobs=4)
    pools.append(pool)
    gone, stays = Job([b"x"] * 9, 2, loop), Job([b"x"] * 2, 2, loop)
    pool.submit(gone)
    pool.submit(stays)
    assert eventually(lambda: len(gate.started) == 1)
    gone.cancelled = True
    gate.open.set()
    assert eventually(lambda: len(gate.started) == 3)
    assert gate.started == [0, 0, 1]


def test_the_queue_is_bounded(loop: asyncio.AbstractEventLoop, pools: list[DecodePool]) -> None:
    gate = Gate()
    pools.append(DecodePool(gate.work, 1, max_jobs=1))
    pools[0].submit(Job([b"x"] * 2, 2, loop))
    with pytest.raises(Overloaded, match="decode queue is full"):
        pools[0].submit(Job([b"x"], 2, loop))
    gate.open.set()


def test_a_thread_that_hangs_is_named(
    loop: asyncio.AbstractEventLoop, pools: list[DecodePool]
) -> None:
    gate = Gate()
    pool = DecodePool(gate.work, 1, max_jobs=1)
    pools.append(pool)
    assert pool.stuck(1e12, 60) is None
    pool.submit(Job([b"x"], 2, loop))
    assert eventually(lambda: bool(gate.started))
    assert "decode thread 0" in (pool.stuck(1e12, 60) or "")
    gate.open.set()


def test_closing_hands_back_what_was_queued(loop: asyncio.AbstractEventLoop) -> None:
    gate = Gate()
    pool = DecodePool(gate.work, 1, max_jobs=4)
    first, second = Job([b"x"], 2, loop), Job([b"x"], 2, loop)
    pool.submit(first)
    assert eventually(lambda: bool(gate.started))
    pool.submit(second)
    threading.Timer(0.02, gate.open.set).start()
    assert pool.close(10) == [second]
    assert pool.threads == 0


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        DecodePool(lambda job, index: None, 0, max_jobs=1)
