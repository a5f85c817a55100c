"""The same image in flight is worked on once, and nobody suffers from whom he shares with."""

import asyncio
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.engine.cache import VectorCache
from embedding_service.engine.job import Item, Job
from embedding_service.engine.sharing import Sharing, digest_of
from embedding_service.engine.terms import Priority, Terms

A, B = b"a" * 1000, b"b" * 1000


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def job(loop: asyncio.AbstractEventLoop, priority: Priority = "bulk", deadline: float = 1e9) -> Job:
    return Job([A, B], 2, loop, Terms(priority, deadline))


def started(sharing: Sharing, owner: Job, data: bytes = A, index: int = 0) -> Item:
    item = sharing.enter(owner, index, data, None)
    assert item is not None
    return item


def test_the_second_joins_the_first_and_both_get_the_vector(
    loop: asyncio.AbstractEventLoop,
) -> None:
    sharing = Sharing(in_flight=True)
    first, second = job(loop), job(loop)
    item = started(sharing, first)
    assert sharing.enter(second, 1, A, None) is None
    assert started(sharing, second, B) is not item
    assert sharing.finish(item, np.ones(2, np.float32)) == [(first, 0), (second, 1)]
    assert started(sharing, second) is not item  # it is in flight no more
    assert sharing.open == 2


def test_images_that_only_look_alike_are_told_apart(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=True)
    alike = b"b" + A[1:]
    first = started(sharing, job(loop))
    assert started(sharing, job(loop), alike) is not first
    assert sharing.open == 1
    assert sharing.enter(job(loop), 0, A, None) is None


def test_beyond_the_bound_digests_take_the_place_of_bytes(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=True, kept_bytes=1500)
    kept, hashed = started(sharing, job(loop)), started(sharing, job(loop), B)
    for item, data in ((kept, A), (hashed, B)):
        assert sharing.enter(job(loop), 0, data, None) is None
        sharing.finish(item, None)
    again = started(sharing, job(loop), B)  # the bytes that were kept make room again
    assert sharing._open[sharing._keys[again]][1].data is B


def test_an_image_is_given_up_only_when_all_are_gone(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=True)
    first, second = job(loop), job(loop, deadline=5.0)
    item = started(sharing, first)
    assert sharing.enter(second, 0, A, None) is None
    first.cancelled = True
    assert not sharing.abandoned(item, 4.0)
    assert sharing.enter(job(loop, deadline=4.5), 0, A, None) is None
    assert sharing.abandoned(item, 6.0)
    assert sharing.open == 0  # and nobody joins what was given up


def test_live_work_never_waits_in_an_albums_place(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=True)
    album = started(sharing, job(loop))
    live = started(sharing, job(loop, "live"))
    assert (album.priority, live.priority) == ("bulk", "live")
    assert sharing.enter(job(loop, "live"), 0, A, None) is None
    assert len(live.wants) == 2
    sharing.finish(album, None)
    assert sharing.enter(job(loop), 0, A, None) is None  # an album may wait for live work
    assert len(live.wants) == 3


def test_switched_off_nothing_is_shared(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=False)
    assert started(sharing, job(loop)) is not started(sharing, job(loop))


def test_what_succeeded_is_cached_and_what_failed_is_not(loop: asyncio.AbstractEventLoop) -> None:
    sharing = Sharing(in_flight=True, cache=VectorCache(10_000))
    for data, vector in ((A, np.ones(2, np.float32)), (B, None)):
        digest, found = sharing.cached(data)
        assert (digest, found) == (digest_of(data), None)
        item = sharing.enter(job(loop), 0, data, digest)
        assert item is not None
        sharing.finish(item, vector)
    assert sharing.cached(A)[1] is not None
    assert sharing.cached(B)[1] is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_want_is_answered_once_or_given_up(
    loop: asyncio.AbstractEventLoop, data: st.DataObject
) -> None:
    """Enter, cancel, finish and sweep in any order; the budget of kept bytes comes back."""
    sharing = Sharing(in_flight=True, kept_bytes=2500)
    owners: list[Job] = []
    items: list[Item] = []
    answered: list[tuple[Job, int]] = []
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["enter", "cancel", "finish", "sweep"])):
            case "enter":
                priority: Priority = data.draw(st.sampled_from(["live", "bulk"]))
                owners.append(job(loop, priority))
                image = data.draw(st.sampled_from([A, B, b"c" + A[1:], b"d" * 700]))
                item = sharing.enter(owners[-1], 0, image, None)
                items += [item] if item is not None else []
            case "cancel" if owners:
                data.draw(st.sampled_from(owners)).cancelled = True
            case "finish" if items:
                answered += sharing.finish(items.pop(0), None)
            case _:
                items = [item for item in items if not sharing.abandoned(item, 0.0)]
    answered += itertools.chain.from_iterable(sharing.finish(item, None) for item in items)
    told = [owner for owner, _ in answered]
    assert len(set(told)) == len(told)
    assert {owner for owner in owners if not owner.cancelled} <= set(told)
    assert (sharing.open, sharing._budget, sharing._keys) == (0, 2500, {})
