"""The work queue: once, at its time, never twice at the same time."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.api.names import Key
from embedding_operator.handlers.queue import WorkQueue

A, B = Key("default", "a"), Key("default", "b")


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


async def _ready(queue: WorkQueue) -> Key | None:
    """The next key, or None when there is none now."""
    task = asyncio.create_task(queue.get())
    for _ in range(3):
        await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


def test_a_key_wanted_often_is_handed_out_once() -> None:
    async def play() -> list[Key | None]:
        queue = WorkQueue(Clock())
        for _ in range(3):
            queue.add(A)
        return [await _ready(queue), await _ready(queue)]

    assert asyncio.run(play()) == [A, None]


def test_a_key_in_work_waits_until_it_is_given_back() -> None:
    async def play() -> list[Key | None]:
        queue = WorkQueue(Clock())
        queue.add(A)
        first = await _ready(queue)
        queue.add(A)
        meanwhile = await _ready(queue)
        queue.done(A)
        return [first, meanwhile, await _ready(queue)]

    assert asyncio.run(play()) == [A, None, A]


def test_the_earliest_wish_wins() -> None:
    async def play() -> list[Key | None]:
        clock = Clock()
        queue = WorkQueue(clock)
        queue.add(A, 10)
        queue.add(A, 2)
        queue.add(A, 30)
        early = await _ready(queue)
        clock.time = 2.0
        return [early, await _ready(queue)]

    assert asyncio.run(play()) == [None, A]


def test_a_wish_wakes_whoever_waits() -> None:
    async def play() -> Key:
        queue = WorkQueue(asyncio.get_running_loop().time)
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add(A)
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(play()) == A


def test_a_delay_that_passes_wakes_whoever_waits() -> None:
    async def play() -> Key:
        queue = WorkQueue(asyncio.get_running_loop().time)
        queue.add(A, 0.01)
        return await asyncio.wait_for(queue.get(), 5)

    assert asyncio.run(play()) == A


def test_whoever_waits_can_be_cancelled_in_the_moment_of_a_wish() -> None:
    async def play() -> bool:
        queue = WorkQueue(asyncio.get_running_loop().time)
        queue.add(A, 60)
        waiting = asyncio.create_task(queue.get())
        for _ in range(3):
            await asyncio.sleep(0)
        queue.add(B, 30)
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=5)
        return waiting in done and waiting.cancelled()

    assert asyncio.run(play())


def test_the_lag_is_that_of_the_most_overdue_key_and_never_negative() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A, 5)
    assert queue.lag_seconds() == 0.0
    clock.time = 12.0
    queue.add(B)
    assert queue.lag_seconds() == 7.0
    queue.forget(A)
    assert queue.lag_seconds() == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=20))
def test_every_wanted_key_comes_exactly_once_and_in_order(wishes: list[tuple[str, float]]) -> None:
    async def play() -> list[tuple[Key, float]]:
        clock = Clock()
        queue = WorkQueue(clock)
        for name, delay in wishes:
            queue.add(Key("n", name), delay)
        clock.time = 5.0
        taken = []
        while (key := await _ready(queue)) is not None:
            taken.append((key, min(delay for name, delay in wishes if name == key.name)))
        return taken

    taken = asyncio.run(play())
    assert sorted(key.name for key, _ in taken) == sorted({name for name, _ in wishes})
    assert [due for _, due in taken] == sorted(due for _, due in taken)
