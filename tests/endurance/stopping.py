"""SIGTERM under load: whatever was accepted gets its whole answer, then the process ends with 0."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from embedding_contract.endpoints import LIVE_PATH
from endurance.pictures import picture
from endurance.process import ServerProcess
from endurance.targets import Row, target
from endurance.wire import NOT_CONNECTED, Client, Reply, Request, embed_request

EXIT_SECONDS = 5.0
"""Beyond its drain a server may take this long; the pod's grace period allows for it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """What a load saw of one SIGTERM. `late` counts answers to requests sent after the signal."""

    replies: Sequence[Reply]
    late: int
    images: int
    exit_code: int
    exit_seconds: float
    refused_afterwards: bool

    @property
    def by_status(self) -> Counter[int]:
        """Answers by status; 0 is a request whose connection stood and that got no whole answer."""
        return Counter(one.status for one in self.replies if one.body != NOT_CONNECTED)

    @property
    def broken(self) -> int:
        """Answers of 200 that do not hold every vector."""
        good = [one for one in self.replies if one.status == 200]
        return sum(len(json.loads(one.body)["embeddings"]) != self.images for one in good)


def stop_under_load(
    server: ServerProcess, *, clients: int = 8, images: int = 4, before_seconds: float = 1.0
) -> Stop:
    """Load the server, send SIGTERM, and go on sending until nobody listens any more."""
    return asyncio.run(_stop(server, clients, images, before_seconds))


async def _stop(server: ServerProcess, clients: int, images: int, seconds: float) -> Stop:
    request = embed_request([picture(320, 240, seed) for seed in range(images)])
    client = Client(server.port)
    replies: list[Reply] = []
    signalled = asyncio.Event()
    sent_late = 0

    async def one() -> None:
        nonlocal sent_late
        while True:
            after = signalled.is_set()
            reply = await client.ask(request)
            replies.append(reply)
            if reply.body == NOT_CONNECTED:
                return
            sent_late += after and reply.status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(one())
        await asyncio.sleep(seconds)
        server.terminate()
        began = time.monotonic()
        signalled.set()
    code = await asyncio.to_thread(server.wait, 60)
    took = time.monotonic() - began
    return Stop(replies, sent_late, images, code, took, server.status(LIVE_PATH) == 0)


def judge(stop: Stop, drain_seconds: float) -> list[Row]:
    """Hold one stop to its promises."""
    faults = sum(count for status, count in stop.by_status.items() if status not in (0, 200, 503))
    return [
        target("SIGTERM: answered with vectors", "requests", 1, stop.by_status[200], ">="),
        target("SIGTERM: of these sent after the signal", "requests", 1, stop.late, ">="),
        target("SIGTERM: answers lost", "requests", 0, stop.by_status[0], "=="),
        target("SIGTERM: answers that are not whole", "requests", 0, stop.broken, "=="),
        target("SIGTERM: other than 200 and 503", "requests", 0, faults, "=="),
        target("SIGTERM: exit code", "code", 0, stop.exit_code, "=="),
        target("SIGTERM: seconds to the end", "s", drain_seconds + EXIT_SECONDS,
               stop.exit_seconds, "<="),
        target("SIGTERM: still listening afterwards", "bool", 0,
               float(not stop.refused_afterwards), "=="),
    ]  # fmt: skip


async def half_a_request(port: int) -> asyncio.StreamWriter:
    """Send the head and a first byte of the body, and nothing more."""
    request: Request = embed_request([picture(320, 240)])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.head + request.body[:1])
    await writer.drain()
    return writer
