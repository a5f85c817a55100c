"""Overload: three times what the server can do, for minutes, at a constant rate of arrivals.

First a closed loop finds the peak, then an open loop sends three times as much in the same run: it
does not wait for answers, as the world does not. The server must go on at its peak, say 429 to
the rest at once, and keep its memory.
"""

import asyncio
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from endurance.pictures import picture
from endurance.process import Resources, ServerProcess
from endurance.targets import Row, target
from endurance.wire import Client, Reply, Request, embed_request
from load.figures import percentile

FACTOR = 3.0
PEAK_CLIENTS = 8
"""Twice the permits that a server starts with: none of them ever lacks a request."""
SETTLE_SECONDS = 60.0
"""Memory is compared with what it was after the first minute."""


@dataclass(frozen=True, slots=True)
class Course:
    """How long each part takes, in seconds, and what one request carries."""

    peak_seconds: float = 30.0
    seconds: float = 300.0
    warm_seconds: float = 5.0
    images: int = 8
    width: int = 640
    height: int = 480
    expect: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held at a moment of the loop's clock."""

    at: float
    resources: Resources


@dataclass(frozen=True, slots=True)
class Found:
    """What one run saw. Rates are requests a second."""

    peak: float
    goodput: float
    replies: Sequence[Reply]
    skipped: int
    late_seconds: float
    samples: Sequence[Sample]


def run(server: ServerProcess, course: Course) -> Found:
    """Measure the peak, then overload the server."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(server, course))


async def _run(server: ServerProcess, course: Course) -> Found:
    images = [picture(course.width, course.height, seed) for seed in range(course.images)]
    request = embed_request(images, expect=course.expect)
    client = Client(server.port)
    peak = await _peak(client, request, course)
    print(f"  peak {peak:.1f} requests/s ({peak * course.images:.0f} images/s), closed loop")
    watch: list[Sample] = []
    sampling = asyncio.create_task(_sample(server, watch))
    replies, late = await _open_loop(client, request, FACTOR * peak, course.seconds)
    sampling.cancel()
    client.close()
    begin = replies[0].ended + course.warm_seconds
    end = watch[-1].at
    good = sum(reply.status == 200 and begin <= reply.ended < end for reply in replies)
    return Found(peak, good / max(end - begin, 1e-9), replies, client.skipped, late, watch)


async def _peak(client: Client, request: Request, course: Course) -> float:
    """Return requests a second of a closed loop that always has work for the server."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + course.warm_seconds
    end = begin + course.peak_seconds
    answered = 0

    async def one() -> None:
        nonlocal answered
        while loop.time() < end:
            reply = await client.ask(request)
            if reply.status != 200:
                raise RuntimeError(f"the closed loop got {reply.status}: {reply.body[:200]!r}")
            answered += begin <= reply.ended < end

    async with asyncio.TaskGroup() as group:
        for _ in range(PEAK_CLIENTS):
            group.create_task(one())
    return answered / course.peak_seconds


async def _open_loop(
    client: Client, request: Request, rate: float, seconds: float
) -> tuple[list[Reply], float]:
    """Send at a constant rate; return the answers and how late the client itself was at most."""
    loop = asyncio.get_running_loop()
    replies: list[Reply] = []
    begin, late = loop.time(), 0.0
    for number in range(int(rate * seconds)):
        due = begin + number / rate
        wait = due - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        late = max(late, loop.time() - due)
        client.send(request, replies.append)
    async with asyncio.timeout(60):
        await client.quiet.wait()
    return replies, late


async def _sample(server: ServerProcess, into: list[Sample]) -> None:
    while True:
        into.append(Sample(asyncio.get_running_loop().time(), server.resources()))
        await asyncio.sleep(1)


def growth(samples: Sequence[Sample], settle_seconds: float) -> float:
    """Return how much memory grew after `settle_seconds`: last tenth against the moment, as ratio.

    NaN when the run was too short to say.
    """
    settled = [one for one in samples if one.at >= samples[0].at + settle_seconds]
    tenth = len(settled) // 10
    if tenth < 1:
        return math.nan
    before, after = settled[:tenth], settled[-tenth:]
    return _rss(after) / _rss(before) - 1


def _rss(samples: Sequence[Sample]) -> float:
    return statistics.median(one.resources.rss_bytes for one in samples)


def judge(found: Found, settle_seconds: float = SETTLE_SECONDS, note: str = "") -> list[Row]:
    """Hold what was seen to the promises."""
    refused = sorted(reply.head_seconds for reply in found.replies if reply.status == 429)
    without = sum(reply.status == 429 and reply.retry_after is None for reply in found.replies)
    other = sum(reply.status not in (200, 429) for reply in found.replies)
    p99 = percentile(refused, 0.99) * 1000
    return [
        target(f"goodput at 3 x the peak{note}", "ratio of the peak", 0.95,
               found.goodput / found.peak, ">="),
        target(f"refused requests{note}", "share", 0.5, len(refused) / len(found.replies), ">="),
        target(f"time to a refusal, p99{note}", "ms", 50, p99, "<="),
        target(f"refusals without Retry-After{note}", "requests", 0, without, "=="),
        target(f"neither 200 nor 429{note}", "requests", 0, other, "=="),
        target(f"not sent for want of a connection{note}", "requests", 0, found.skipped, "=="),
        target(f"memory growth after the first minute{note}", "ratio", 0.05,
               growth(found.samples, settle_seconds), "<="),
    ]  # fmt: skip
