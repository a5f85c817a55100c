"""How lanes on a CPU share its cores with the threads that decode. Pure."""

from typing import Final

COMPANY: Final = 8
"""Images of a batch that is worth waiting for. Larger ones are hardly faster (sluice-tiny, fp32, ms
an image: 2.07 alone, 1.33 by fours, 1.27 by eights, 1.24 by 32)."""
LIVE_COMPANY: Final = 4
"""The same while somebody waits for a live image: most of the gain for half of the wait."""


def decoding_now(workers: int, busy: int, blocked: int, *, pending: bool) -> int:
    """Return how many decode threads use a core.

    Args:
        workers: decode threads in force.
        busy: those with an image in their hands.
        blocked: those that wait for a slot; they are not among the busy ones.
        pending: images wait for a thread, so that a thread between two images counts as well.
    """
    return max(busy, workers - blocked) if pending else busy


def wants_company(cores: float, decoding: int, ready: int, *, pending: bool, live: bool) -> bool:
    """Say whether a lane should leave a small batch for a moment.

    Only while every core decodes and more images wait to be decoded: then no core idles meanwhile,
    and what the lane does not use makes its company ready sooner.
    """
    enough = LIVE_COMPANY if live else COMPANY
    return pending and decoding >= int(cores) and ready < enough


def lane_threads(cores: float, lanes: int, decoding: int) -> int:
    """Return how many threads each lane may use for its next batch, one at least.

    A lane takes the cores that nobody decodes on. Threads of one product wait for each other: two
    on a core that a decoder shares take longer than one alone. Where lanes are the bottleneck the
    slots are full, so decoders wait, count as idle here, and the lanes get all cores.

    Args:
        cores: what the container may use.
        lanes: lanes in force, at least 1.
        decoding: threads that decode at this moment, without those that wait for a slot.
    """
    return max(1, (int(cores) - decoding) // lanes)
