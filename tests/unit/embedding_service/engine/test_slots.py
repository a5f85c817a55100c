"""A slot has one owner, waits are backpressure, and batches mostly lie in one piece."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from embedding_service.engine.slots import SlotRing, SlotsClosed, runs


def test_slots_come_in_ring_order() -> None:
    ring = SlotRing(4, 2, 2)
    assert [ring.acquire() for _ in range(4)] == [0, 1, 2, 3]
    ring.release([3, 1])
    assert [ring.acquire(), ring.acquire()] == [1, 3]


def test_a_ring_holds_pixels_of_the_stated_shape() -> None:
    ring = SlotRing(3, 5, 7)
    assert ring.pixels.shape == (3, 5, 7, 3)
    assert ring.pixels.dtype == "uint8"


def test_without_a_free_slot_one_waits_for_the_next_release() -> None:
    ring = SlotRing(1, 2, 2)
    ring.acquire()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(ring.acquire()))
    thread.start()
    assert not got
    ring.release([0])
    thread.join(10)
    assert got == [0]


def test_closing_wakes_whoever_waits() -> None:
    ring = SlotRing(1, 2, 2)
    ring.acquire()
    woken: list[bool] = []

    def wait() -> None:
        try:
            ring.acquire()
        except SlotsClosed:
            woken.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    ring.close()
    thread.join(10)
    assert woken == [True]


def test_a_second_release_of_the_same_slot_is_an_error() -> None:
    ring = SlotRing(2, 2, 2)
    slot = ring.acquire()
    ring.release([slot])
    with pytest.raises(ValueError, match="released twice"):
        ring.release([slot])


@given(st.lists(st.integers(0, 40), unique=True).map(sorted))
def test_runs_cover_a_batch_exactly_and_are_as_long_as_can_be(slots: list[int]) -> None:
    pieces = runs(slots)
    covered = [slot + step for _, slot, length in pieces for step in range(length)]
    assert covered == slots
    assert [position for position, _, _ in pieces] == [slots.index(slot) for _, slot, _ in pieces]
    ends = [slot + length for _, slot, length in pieces]
    assert not {slot for _, slot, _ in pieces} & set(ends)


class RingMachine(RuleBasedStateMachine):
    """Whatever the order of takes and releases: no slot twice, none lost."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = SlotRing(5, 1, 1)
        self.held: list[int] = []

    @precondition(lambda self: len(self.held) < 5)
    @rule()
    def take(self) -> None:
        slot = self.ring.acquire()
        assert slot not in self.held
        self.held.append(slot)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(self.held), unique=True))
        self.ring.release(some)
        self.held = [slot for slot in self.held if slot not in some]

    @invariant()
    def none_is_lost(self) -> None:
        assert self.ring.free + len(self.held) == self.ring.count


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=30, deadline=None)
