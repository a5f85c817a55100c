"""How lanes on a CPU share its cores with the threads that decode. Pure."""


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
