"""Where things lie: all below the checkout, each checkout with a mark of its own."""

from __future__ import annotations

from pathlib import Path

from sluice_local.layout import Layout


def test_everything_lies_below_the_checkout() -> None:
    layout = Layout(Path("/co"))
    places = [layout.state, layout.lock, layout.logs, layout.pki, layout.node, layout.links]
    assert all(place.is_relative_to("/co/.sluice") for place in places)
    # `down` removes the state directory; the lock is held while it does.
    assert not layout.lock.is_relative_to(layout.state)


def test_two_checkouts_have_two_marks() -> None:
    marks = {Layout(Path(f"/co{n}")).mark for n in range(50)}
    assert len(marks) == 50


def test_this_checkout_is_the_one_with_this_test() -> None:
    assert Layout.of_this_checkout().checkout == Path(__file__).resolve().parents[3]
