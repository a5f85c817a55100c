"""The books of admission: no deadlock, nobody starves, the limit holds, all room comes back."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from embedding_service.engine.ledger import LIVE_MEMORY_SECONDS, Ledger, Ticket
from embedding_service.engine.terms import PRIORITIES, Priority


def enter(ledger: Ledger, images: int, priority: Priority = "bulk", now: float = 0.0) -> Ticket:
    ticket = ledger.enter(priority, images)
    ledger.grants(now)
    return ticket


def count(
    ledger: Ledger, ticket: Ticket, images: int, priority: Priority = "bulk", now: float = 0.0
) -> None:
    ledger.count(ticket, priority, images, now)
    ledger.grants(now)


def leave(ledger: Ledger, ticket: Ticket, now: float = 0.0) -> None:
    ledger.leave(ticket)
    ledger.grants(now)


def test_by_requests_an_album_costs_what_one_image_costs() -> None:
    ledger = Ledger(2)
    album, single, third = enter(ledger, 50), enter(ledger, 1), enter(ledger, 1)
    assert [ticket.inside for ticket in (album, single, third)] == [True, True, False]
    count(ledger, album, 200)
    assert (ledger.held, ledger.room, album.asking) == (2, 2, False)


def test_by_images_fifty_do_not_cost_what_one_does() -> None:
    ledger = Ledger(2, 40)
    album, single = enter(ledger, 50), enter(ledger, 1)
    assert (ledger.held, ledger.holders) == (51, 2)
    assert ledger.permits_in_use(0.0) == pytest.approx(51 / 40)
    assert not enter(ledger, 30).inside
    leave(ledger, album)
    assert ledger.held == 31
    leave(ledger, single)


def test_what_was_estimated_too_high_comes_back_at_the_count() -> None:
    ledger = Ledger(1, 40)
    first, second = enter(ledger, 40), enter(ledger, 40)
    count(ledger, first, 3)
    assert not second.inside
    leave(ledger, second)
    assert enter(ledger, 37).inside
    assert ledger.held == 40


def test_a_request_above_all_room_gets_all_of_it() -> None:
    ledger = Ledger(1, 40)
    assert enter(ledger, 10_000).held == 40


def test_when_all_ask_for_more_the_first_gets_it_and_the_rest_wait() -> None:
    ledger = Ledger(1, 40)
    tickets = [enter(ledger, 10) for _ in range(4)]
    for ticket in tickets:
        count(ledger, ticket, 40)
    assert [ticket.held for ticket in tickets] == [40, 10, 10, 10]
    late = enter(ledger, 1)
    for ticket in tickets:
        assert not ticket.asking
        assert ledger.held <= 40 + 30  # one request's difference above the limit, no more
        assert not late.inside  # more for those inside comes first
        leave(ledger, ticket)
    assert late.inside


def test_a_shrink_below_what_is_held_and_asked_is_no_deadlock() -> None:
    ledger = Ledger(4, 40)
    tickets = [enter(ledger, 40) for _ in range(3)]
    ledger.size = 1
    for ticket in tickets:
        count(ledger, ticket, 40)
        assert not ticket.asking
    waiting = enter(ledger, 160)
    for ticket in tickets:
        leave(ledger, ticket)
    assert waiting.inside


def test_albums_leave_a_share_to_live_requests_only_while_those_come() -> None:
    ledger = Ledger(4)
    albums = [enter(ledger, 50) for _ in range(4)]
    assert ledger.holders == 4  # no live request ever came
    live = enter(ledger, 1, "live", now=100.0)
    enter(ledger, 50, now=100.0)
    leave(ledger, albums[0], now=100.0)
    count(ledger, live, 1, "live", now=100.0)
    assert (live.inside, ledger.waiting) == (True, 1)
    leave(ledger, live, now=101.0)
    assert (ledger.holders, ledger.waiting) == (3, 1)
    assert ledger.permits_in_use(101.0) == 4  # 3 held, 1 kept free
    leave(ledger, albums[1], now=102.0)
    assert (ledger.holders, ledger.waiting) == (3, 0)
    enter(ledger, 50, now=100.0 + LIVE_MEMORY_SECONDS)
    assert ledger.holders == 4


def test_a_big_album_is_not_starved_by_small_requests() -> None:
    ledger = Ledger(1, 40)
    small = [enter(ledger, 4) for _ in range(10)]
    big = enter(ledger, 40)
    for ticket in small:
        enter(ledger, 4)
        assert not big.inside
        leave(ledger, ticket)
    assert big.inside


def test_a_big_album_is_not_starved_by_a_stream_of_live_requests() -> None:
    ledger = Ledger(2, 40)
    inside = [enter(ledger, 4, "live") for _ in range(20)]
    big = enter(ledger, 80)
    for turns in range(1000):
        inside.append(enter(ledger, 4, "live", float(turns)))
        oldest = next(ticket for ticket in inside if ticket.inside)
        inside.remove(oldest)
        leave(ledger, oldest, float(turns))
        if big.inside:
            break
    assert big.inside
    assert turns < 100


def test_albums_inside_that_ask_for_more_are_not_starved_by_live_requests() -> None:
    ledger = Ledger(2, 40)
    albums = [enter(ledger, 30) for _ in range(2)]
    live = [enter(ledger, 1, "live") for _ in range(20)]
    for album in albums:
        count(ledger, album, 60)
    for turns in range(200):
        live.append(enter(ledger, 1, "live"))
        oldest = live.pop(0)
        count(ledger, oldest, 1, "live", float(turns))  # so the live share is always in force
        leave(ledger, oldest, float(turns))
        for album in [one for one in albums if not one.asking]:
            albums.remove(album)
            leave(ledger, album, float(turns))
    assert not albums


class LedgerMachine(RuleBasedStateMachine):
    """Any order of entries, counts, ends, shrinks and pauses."""

    by_images: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(2, self.by_images)
        self.tickets: list[Ticket] = []
        self.now = 0.0
        self.over = 0
        """Units by which the last grant or shrink may have gone above the room."""

    def give(self) -> None:
        """Grant, and watch that only the permitted way leads above the limit."""
        before = self.ledger.held
        working = any(ticket.inside and not ticket.asking for ticket in self.tickets)
        granted = self.ledger.grants(self.now)
        if self.ledger.held > max(self.ledger.room, before):
            assert not working
            assert len(granted) == 1

    def inside(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.inside]

    @rule(priority=st.sampled_from(PRIORITIES), images=st.integers(0, 100))
    def arrive(self, priority: Priority, images: int) -> None:
        self.tickets.append(self.ledger.enter(priority, images))
        self.give()

    @precondition(lambda self: any(not ticket.asking for ticket in self.tickets))
    @rule(data=st.data(), priority=st.sampled_from(PRIORITIES), images=st.integers(0, 100))
    def count_one(self, data: st.DataObject, priority: Priority, images: int) -> None:
        working = [ticket for ticket in self.tickets if not ticket.asking]
        ticket = data.draw(st.sampled_from(working))
        self.ledger.count(ticket, priority, images, self.now)
        self.give()

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def end_or_leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.ledger.leave(ticket)
        self.ledger.leave(ticket)  # twice is once
        self.give()

    @rule(size=st.integers(1, 5))
    def resize(self, size: int) -> None:
        self.ledger.size = size
        self.give()

    @rule(seconds=st.floats(0, 20))
    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.give()

    @invariant()
    def the_books_are_right(self) -> None:
        inside = self.inside()
        assert self.ledger.holders == len(inside)
        assert self.ledger.held == sum(ticket.held for ticket in inside)
        assert self.ledger.waiting == len(self.tickets) - len(inside)

    @invariant()
    def somebody_works_while_anybody_waits(self) -> None:
        if any(ticket.asking for ticket in self.tickets):
            assert any(not ticket.asking for ticket in self.tickets)

    def teardown(self) -> None:
        """Whoever works ends: in the end all had their turn, and all room is back."""
        for _ in range(len(self.tickets)):
            working = next(ticket for ticket in self.tickets if not ticket.asking)
            self.tickets.remove(working)
            self.ledger.leave(working)
            self.give()
        assert (self.ledger.held, self.ledger.holders, self.ledger.waiting) == (0, 0, 0)


class ByImages(LedgerMachine):
    by_images = 40


TestByRequests = LedgerMachine.TestCase
TestByImages = ByImages.TestCase
for case in (TestByRequests, TestByImages):
    case.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
