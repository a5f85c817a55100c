"""The contract of preprocessing over real configurations and pictures of every kind."""

import pytest
import torch

from parity.comparison import (
    CONFIGURATIONS,
    MAX_DIFFERENCE,
    MIN_COSINE,
    REAL,
    Configuration,
    Found,
    Seen,
    compare,
    network_for,
    seen,
)
from parity.pictures import pictures

THIN = ("16000 x 10", "10 x 16000")
LONGEST_THIN = 256
"""open_clip's transform makes side x 1600 sides of a thin picture: gigabytes above this. `python
-m parity` compares those too."""
REAL_EACH = 2
"""Pictures of each kind that go through the real ViT-B/32: it takes a second for ten of them."""


@pytest.fixture(scope="module")
def seen_pictures() -> list[Seen]:
    return seen(pictures())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def affordable(configuration: Configuration, pictures: list[Seen]) -> list[Seen]:
    facts = configuration.facts
    if facts.resize_mode == "squash" or int(str(facts.size)) <= LONGEST_THIN:
        return pictures
    return [picture for picture in pictures if picture.name not in THIN]


def test_the_configurations_differ_and_the_pictures_are_many(seen_pictures: list[Seen]) -> None:
    facts = {str(configuration.facts) for configuration in CONFIGURATIONS}
    assert len(facts) == len(CONFIGURATIONS) >= 8
    assert len(seen_pictures) >= 90
    sizes = {picture.upright.size for picture in seen_pictures}
    assert {(1, 1), (2, 3), (16_000, 10), (10, 16_000), (6000, 4000)} <= sizes


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda one: one.name)
def test_pixels_and_vectors_are_open_clips(
    seen_pictures: list[Seen], configuration: Configuration, found: list[Found]
) -> None:
    network = network_for(configuration, real=False)
    here = list(compare(configuration, affordable(configuration, seen_pictures), network))
    found += here
    assert not far(here)


def test_vectors_of_the_real_network_are_open_clips(
    seen_pictures: list[Seen], found: list[Found]
) -> None:
    some: dict[str, list[Seen]] = {}
    for picture in seen_pictures:
        some.setdefault(picture.kind, []).append(picture)
    few = [picture for kind in some.values() for picture in kind[:REAL_EACH]]
    here = list(compare(REAL, few, network_for(REAL, real=True)))
    found += [one.of("ViT-B-32, its own network") for one in here]
    assert not far(here)


def far(found: list[Found]) -> list[Found]:
    assert found
    return [one for one in found if one.difference > MAX_DIFFERENCE or one.cosine < MIN_COSINE]


def test_a_wrong_resize_would_be_seen(seen_pictures: list[Seen]) -> None:
    """The figures can fail: the same pictures under another configuration's facts are far."""
    squash, cropped = CONFIGURATIONS[1], CONFIGURATIONS[0]
    network = network_for(squash, real=False)
    (picture,) = [one for one in seen_pictures if one.name == "wide 2400 x 300"]
    (right,) = compare(squash, [picture], network)
    (wrong,) = compare(squash, [picture], network, ours=cropped.facts)
    assert right.difference < MAX_DIFFERENCE < wrong.difference
    assert wrong.cosine < MIN_COSINE
