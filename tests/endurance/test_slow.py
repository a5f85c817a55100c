"""The real process beside slow clients: they hold nothing that normal ones need."""

import asyncio

from endurance.process import ServerProcess
from endurance.slow import Crowd, Found, gather_crowd, rate
from endurance.wire import Client


def test_a_crowd_of_slow_clients_stops_nobody() -> None:
    """The crowd is three times as many as there are permits, of every kind."""

    async def run(server: ServerProcess) -> tuple[Found, float]:
        found = Found()
        members, tasks = gather_crowd(server.port, Crowd(bodies=12, heads=12, readers=4, idle=50))
        client = Client(server.port)
        try:
            found.beside.append(await rate(client, 2.0, found))
            assert not any(one.answer for one in members)
            held = await asyncio.to_thread(server.metric, "embedding_inflight_requests")
        finally:
            client.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found, held

    with ServerProcess(QUEUE_TIMEOUT_SECONDS=60) as server:
        found, held = asyncio.run(run(server))
    assert found.failed == 0
    assert found.beside[0] > 0
    assert held == 0
