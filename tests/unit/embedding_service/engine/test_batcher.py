"""A lane takes what is ready, across requests; on a CPU it waits for company only on busy cores."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from embedding_service.engine.batcher import PATIENCE_SECONDS, Batcher
from embedding_service.engine.job import Item, Job


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def never() -> bool:
    return False


def job(loop: asyncio.AbstractEventLoop, images: int = 10) -> Job:
    return Job([b"x"] * images, 2, loop)


def fill(batcher: Batcher, owner: Job, slots: list[int]) -> None:
    for index, slot in enumerate(slots):
        batcher.put(Item([(owner, index)], owner.terms.priority, slot))


def test_what_is_ready_is_taken_across_requests(loop: asyncio.AbstractEventLoop) -> None:
    batcher = Batcher(8, lambda slots: None)
    first, second = job(loop), job(loop)
    fill(batcher, first, [4, 2])
    fill(batcher, second, [3])
    batch = batcher.take(never)
    assert [(item.slot, item.wants[0][0]) for item in batch] == [
        (2, first),
        (3, second),
        (4, first),
    ]


def test_a_batch_ends_at_the_limit_and_the_rest_keeps_its_turn(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(3, lambda slots: None)
    fill(batcher, job(loop), [0, 1, 2, 3, 4])
    assert [item.slot for item in batcher.take(never)] == [0, 1, 2]
    assert [item.slot for item in batcher.take(never)] == [3, 4]
    assert batcher.waiting == 0


def test_images_of_a_cancelled_request_are_dropped_and_their_slots_come_back(
    loop: asyncio.AbstractEventLoop,
) -> None:
    dropped: list[int] = []
    batcher = Batcher(8, dropped.extend)
    gone, stays = job(loop), job(loop)
    fill(batcher, gone, [0, 1])
    fill(batcher, stays, [2])
    gone.cancelled = True
    assert [item.slot for item in batcher.take(never)] == [2]
    assert dropped == [0, 1]


def test_a_retired_lane_leaves_and_the_work_stays_for_others(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(8, lambda slots: None)
    fill(batcher, job(loop), [0])
    assert batcher.take(lambda: True) == []
    assert len(batcher.take(never)) == 1


def test_a_waiting_lane_hears_that_it_is_retired() -> None:
    batcher = Batcher(8, lambda slots: None)
    retired = threading.Event()
    found: list[list[Item]] = []
    thread = threading.Thread(target=lambda: found.append(batcher.take(retired.is_set)))
    thread.start()
    retired.set()
    batcher.wake()
    thread.join(10)
    assert found == [[]]


def test_closing_lets_lanes_finish_what_is_ready(loop: asyncio.AbstractEventLoop) -> None:
    batcher = Batcher(8, lambda slots: None)
    fill(batcher, job(loop), [0])
    batcher.close()
    assert len(batcher.take(never)) == 1
    assert batcher.take(never) == []


def test_on_a_gpu_a_lane_waits_for_company_only_while_another_is_busy(
    loop: asyncio.AbstractEventLoop,
) -> None:
    looks: list[float] = []

    def clock() -> float:
        looks.append(0.0)
        return float(len(looks))

    batcher = Batcher(8, lambda slots: None, linger_seconds=0.5, clock=clock)
    fill(batcher, job(loop), [0])
    assert len(batcher.take(never)) == 1
    assert not looks  # nobody else is busy: it does not wait
    fill(batcher, job(loop), [1])
    assert len(batcher.take(never)) == 1
    assert len(looks) == 2  # it would have waited for half a second, but the clock ran
    batcher.finished()
    batcher.finished()
    fill(batcher, job(loop), [2])
    assert len(batcher.take(never)) == 1
    assert len(looks) == 2


def test_a_lane_waits_for_the_company_that_is_worth_it(loop: asyncio.AbstractEventLoop) -> None:
    asked: list[int] = []

    def until_three(ready: int, live: bool) -> bool:
        asked.append(ready)
        if ready == 1:
            waits.set()
        return ready < 3

    waits = threading.Event()
    batcher = Batcher(8, lambda slots: None, wants_company=until_three, clock=lambda: 0.0)
    fill(batcher, job(loop), [0])
    taken: list[list[Item]] = []
    lane = threading.Thread(target=lambda: taken.append(batcher.take(never)))
    lane.start()
    assert waits.wait(20)
    fill(batcher, job(loop), [1, 2])
    lane.join(20)
    assert [item.slot for item in taken[0]] == [0, 1, 2]
    assert asked[0] == 1


def test_company_that_never_comes_is_not_waited_for_long(loop: asyncio.AbstractEventLoop) -> None:
    now = iter([0.0, PATIENCE_SECONDS])
    batcher = Batcher(
        8, lambda slots: None, wants_company=lambda ready, live: True, clock=lambda: next(now)
    )
    fill(batcher, job(loop), [0])
    assert [item.slot for item in batcher.take(never)] == [0]


@pytest.mark.parametrize("ending", ["close", "full", "retired"])
def test_nobody_waits_for_company_when(loop: asyncio.AbstractEventLoop, ending: str) -> None:
    batcher = Batcher(2, lambda slots: None, wants_company=lambda ready, live: True)
    fill(batcher, job(loop), [0, 1] if ending == "full" else [0])
    if ending == "close":
        batcher.close()
    looks = iter([False, False, True, True])
    retired = never if ending != "retired" else lambda: next(looks)
    assert len(batcher.take(retired)) == (2 if ending == "full" else 1)


def test_a_live_image_is_told_apart(loop: asyncio.AbstractEventLoop) -> None:
    asked: list[bool] = []

    def note(ready: int, live: bool) -> bool:
        asked.append(live)
        return False

    batcher = Batcher(8, lambda slots: None, wants_company=note)
    owner = job(loop)
    batcher.put(Item([(owner, 0)], "bulk", 0))
    batcher.take(never)
    batcher.put(Item([(owner, 1)], "live", 0))
    batcher.take(never)
    assert asked == [False, True]
