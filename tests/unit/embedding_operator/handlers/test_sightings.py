"""A watch is convicted only when a listing twice knows more than it showed."""

from embedding_operator.api.names import Key
from embedding_operator.handlers.sightings import Sightings

KEY = Key("default", "clip")


def listed(sightings: Sightings, version: str) -> None:
    sightings.listing_begins()
    sightings.compare({KEY: version})


def test_a_watch_that_shows_what_is_listed_is_fine() -> None:
    sightings = Sightings()
    sightings.saw(KEY, "5")
    for _ in range(3):
        listed(sightings, "5")
    assert sightings.missed is None


def test_a_change_that_never_arrives_convicts_at_the_second_listing() -> None:
    sightings = Sightings()
    sightings.saw(KEY, "5")
    listed(sightings, "6")
    assert sightings.missed is None
    listed(sightings, "6")
    assert sightings.missed == KEY


def test_an_event_between_the_listings_clears_it() -> None:
    sightings = Sightings()
    sightings.saw(KEY, "5")
    listed(sightings, "6")
    sightings.saw(KEY, "6")
    listed(sightings, "6")
    assert sightings.missed is None


def test_an_event_newer_than_the_listing_is_no_reason() -> None:
    sightings = Sightings()
    for version in ("5", "7", "9"):
        sightings.listing_begins()
        sightings.saw(KEY, str(int(version) + 1))
        sightings.compare({KEY: version})
    listed(sightings, "10")
    assert sightings.missed is None


def test_a_late_event_acquits() -> None:
    sightings = Sightings()
    listed(sightings, "6")
    listed(sightings, "6")
    assert sightings.missed == KEY
    sightings.saw(KEY, "6")
    assert sightings.missed is None


def test_a_deleted_resource_is_forgotten() -> None:
    sightings = Sightings()
    listed(sightings, "6")
    listed(sightings, "6")
    sightings.forget(KEY)
    assert sightings.missed is None
