"""Never more holders than permits, first come first served, and no permit is ever lost."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from embedding_service.engine.admission import MAX_RETRY_AFTER_SECONDS, Admission
from embedding_service.engine.ledger import Ticket
from embedding_service.errors import Overloaded

LONG = 30.0


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


async def settle() -> None:
    """Let every task run until it waits for something outside."""
    for _ in range(10):
        await asyncio.sleep(0)


class Holder:
    """A task that takes a permit and holds it until told."""

    def __init__(self, admission: Admission, timeout: float = LONG) -> None:
        self.holding = False
        self._admission, self._timeout = admission, timeout
        self._done = asyncio.Event()
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        async with self._admission.permit(self._timeout):
            self.holding = True
            try:
                await self._done.wait()
            finally:
                self.holding = False

    async def finish(self) -> None:
        self._done.set()
        await self.task


async def holders(admission: Admission, count: int) -> list[Holder]:
    found = [Holder(admission) for _ in range(count)]
    await settle()
    return found


async def finish_all(found: list[Holder]) -> None:
    for holder in found:
        holder._done.set()
    await asyncio.gather(*(holder.task for holder in found), return_exceptions=True)


def test_the_queue_is_first_come_first_served() -> None:
    async def scenario() -> None:
        admission = Admission(1, 10)
        found = await holders(admission, 4)
        for turn in range(4):
            assert [holder.holding for holder in found] == [index == turn for index in range(4)]
            await found[turn].finish()
            await settle()
        assert (admission.in_flight, admission.waiting) == (0, 0)

    run(scenario())


def test_shrinking_from_10_to_2_and_growing_to_5_never_admits_too_many() -> None:
    async def scenario() -> None:
        admission = Admission(10, 100)
        found = await holders(admission, 20)
        assert (admission.in_flight, admission.waiting) == (10, 10)
        admission.resize(2)
        await settle()
        assert admission.in_flight == 10  # nobody was killed
        for holder in found[:8]:
            await holder.finish()
        await settle()
        assert (admission.in_flight, admission.waiting) == (2, 10)
        admission.resize(5)
        await settle()
        assert (admission.in_flight, admission.waiting) == (5, 7)
        assert sum(holder.holding for holder in found) == 5
        await finish_all(found)
        assert (admission.in_flight, admission.waiting) == (0, 0)

    run(scenario())


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def scenario() -> None:
        admission = Admission(1, 1)
        found = await holders(admission, 2)
        with pytest.raises(Overloaded, match="queue of 1 requests is full") as caught:
            await admission.acquire(LONG)
        assert 1 <= caught.value.retry_after_seconds <= MAX_RETRY_AFTER_SECONDS
        await finish_all(found)

    run(scenario())


def test_a_wait_that_is_too_long_ends_in_a_refusal_and_leaves_the_queue() -> None:
    async def scenario() -> None:
        admission = Admission(1, 5)
        found = await holders(admission, 1)
        with pytest.raises(Overloaded, match="no permit became free within"):
            await admission.acquire(0.01)
        assert (admission.in_flight, admission.waiting) == (1, 0)
        await finish_all(found)
        assert admission.in_flight == 0

    run(scenario())


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    async def scenario() -> None:
        admission = Admission(1, 5)
        found = await holders(admission, 3)
        found[1].task.cancel()
        await settle()
        assert admission.waiting == 1
        await found[0].finish()
        await settle()
        assert found[2].holding
        await finish_all(found)
        assert (admission.in_flight, admission.waiting) == (0, 0)

    run(scenario())


def test_a_permit_granted_in_the_moment_of_a_cancellation_goes_to_the_next() -> None:
    async def scenario() -> None:
        admission = Admission(1, 5)
        found = await holders(admission, 3)
        found[0]._done.set()
        await asyncio.sleep(0)  # the permit comes back and is granted, not yet picked up
        found[1].task.cancel()
        await settle()
        assert [holder.holding for holder in found] == [False, False, True]
        await finish_all(found)
        assert admission.in_flight == 0

    run(scenario())


def test_a_failure_inside_gives_the_permit_back() -> None:
    async def scenario() -> None:
        admission = Admission(1, 0)
        with pytest.raises(ZeroDivisionError):
            async with admission.permit(LONG):
                raise ZeroDivisionError
        assert admission.in_flight == 0

    run(scenario())


def test_a_resize_from_another_thread_wakes_the_waiters() -> None:
    async def scenario() -> None:
        admission = Admission(1, 5)
        found = await holders(admission, 3)
        await asyncio.to_thread(admission.resize, 3)
        await settle()
        assert all(holder.holding for holder in found)
        await finish_all(found)

    run(scenario())


def test_waiters_of_a_closed_event_loop_do_not_hold_permits() -> None:
    admission = Admission(1, 5)
    loop = asyncio.new_event_loop()
    held: list[Ticket] = []

    async def wait_behind() -> None:
        held.append(await admission.acquire(LONG))
        asyncio.ensure_future(admission.acquire(LONG))  # noqa: RUF006 - it is left behind
        await asyncio.sleep(0)

    loop.run_until_complete(wait_behind())
    left = asyncio.all_tasks(loop)
    waiters = admission._waiters
    assert len(waiters) == 1
    loop.close()
    admission.release(held[0], 0.1)
    assert (admission.in_flight, admission.waiting) == (0, 0)
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_the_waits_are_reported() -> None:
    waits: list[float] = []
    times = iter([0.0, 0.0, 10.0, 12.5])

    async def scenario() -> None:
        admission = Admission(2, 0, waited=waits.append, clock=lambda: next(times))
        await admission.acquire(LONG)
        await admission.acquire(LONG)

    run(scenario())
    assert waits == [0.0, 2.5]


@pytest.mark.parametrize("size", [0, -1])
def test_no_permits_at_all_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least one permit"):
        Admission(size, 1)
    with pytest.raises(ValueError, match="at least one permit"):
        Admission(1, 1).resize(size)


class AdmissionMachine(RuleBasedStateMachine):
    """Any order of arrivals, ends, cancellations and resizes keeps the books right."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.admission = Admission(3, 4)
        self.found: list[Holder] = []
        self.allowed = 3

    def do(self, work: Callable[[], Awaitable[object]]) -> None:
        async def step() -> None:
            await work()
            await settle()
            ended = [holder.task for holder in self.found if holder.task.done()]
            for error in await asyncio.gather(*ended, return_exceptions=True):
                assert error is None or isinstance(error, Overloaded | asyncio.CancelledError)

        self.loop.run_until_complete(step())
        self.found = [holder for holder in self.found if not holder.task.done()]

    @rule()
    def arrive(self) -> None:
        async def work() -> None:
            self.found.append(Holder(self.admission))

        before = self.admission.waiting
        full = before >= 4 and self.admission.in_flight >= self.admission.size
        count = len(self.found)
        self.do(work)
        assert len(self.found) == count + (not full)

    @precondition(lambda self: any(holder.holding for holder in self.found))
    @rule(data=st.data())
    def end_one(self, data: st.DataObject) -> None:
        holding = [holder for holder in self.found if holder.holding]
        self.do(data.draw(st.sampled_from(holding)).finish)

    @precondition(lambda self: self.found)
    @rule(data=st.data())
    def cancel_one(self, data: st.DataObject) -> None:
        holder = data.draw(st.sampled_from(self.found))

        async def work() -> None:
            holder.task.cancel()
            await asyncio.gather(holder.task, return_exceptions=True)

        self.do(work)

    @rule(size=st.integers(1, 6))
    def resize(self, size: int) -> None:
        async def work() -> None:
            self.admission.resize(size)

        self.allowed = size
        self.do(work)

    @invariant()
    def the_books_are_right(self) -> None:
        holding = sum(holder.holding for holder in self.found)
        waiting = len(self.found) - holding
        assert self.admission.in_flight == holding
        assert self.admission.waiting == waiting
        assert not waiting or holding >= self.allowed  # nobody waits beside a free permit

    def teardown(self) -> None:
        self.loop.run_until_complete(finish_all(self.found))
        assert (self.admission.in_flight, self.admission.waiting) == (0, 0)
        self.loop.close()


TestAdmissionMachine = AdmissionMachine.TestCase
TestAdmissionMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_who_would_wait_in_vain_is_refused_at_once() -> None:
    async def run() -> None:
        admission = Admission(1, 64)
        for _ in range(40):
            admission.release(await admission.acquire(1.0), 10.0)
        held = await admission.acquire(1.0)
        waiting = [asyncio.create_task(admission.acquire(25.0)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 requests wait already") as refused:
            await admission.acquire(25.0)  # the third turn of ten seconds comes too late
        assert refused.value.retry_after_seconds == pytest.approx(30, rel=0.1)
        assert (admission.in_flight, admission.waiting) == (1, 2)
        patient = asyncio.create_task(admission.acquire(35.0))
        await asyncio.sleep(0)
        assert admission.waiting == 3
        admission.release(held, 10.0)
        for task in (*waiting, patient):
            admission.release(await task, 10.0)
        assert (admission.in_flight, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_the_first_to_wait_is_never_refused_by_an_estimate() -> None:
    async def run() -> None:
        admission = Admission(1, 64)
        for _ in range(40):
            admission.release(await admission.acquire(1.0), 1000.0)
        held = await admission.acquire(1.0)
        first = asyncio.create_task(admission.acquire(5.0))
        await asyncio.sleep(0)
        assert admission.waiting == 1
        admission.release(held, 1.0)
        admission.release(await first, 1.0)

    asyncio.run(run())
