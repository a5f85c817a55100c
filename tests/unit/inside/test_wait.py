"""Waiting with a deadline."""

import itertools

import pytest
from inside.errors import TooLateError
from inside.wait import eventually, holds


def test_it_returns_what_came_true() -> None:
    looks = iter(["", "", "ready"])
    assert eventually(lambda: next(looks), "ready", 5, every=0) == "ready"


def test_a_deadline_names_the_condition_and_what_was_there() -> None:
    with pytest.raises(TooLateError, match=r"not within 0 s: Ready; last seen: Pending"):
        eventually(lambda: None, "Ready", 0, every=0, last=lambda: "Pending")


def test_something_that_must_hold_fails_at_the_first_break() -> None:
    looks = itertools.chain([True, True, False], itertools.repeat(True))
    with pytest.raises(TooLateError, match="nothing changes"):
        holds(lambda: next(looks), "nothing changes", 5, every=0)


def test_something_that_holds_passes() -> None:
    holds(lambda: True, "nothing changes", 0.01, every=0)
