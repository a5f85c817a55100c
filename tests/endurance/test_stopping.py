"""The real process under SIGTERM: nothing is lost, nobody holds up the end."""

import asyncio

from embedding_contract.endpoints import LIVE_PATH, READY_PATH
from endurance.process import ServerProcess
from endurance.stopping import Stop, half_a_request, stop_under_load


def test_under_load_no_answer_is_lost_and_slow_clients_do_not_hold_it_up() -> None:
    with ServerProcess(DRAIN_SECONDS=4) as server:
        stop = asyncio.run(_with_slow_ones(server))
        assert "drained" in server.log()
    assert stop.by_status[0] == 0
    assert set(stop.by_status) <= {200, 503}
    assert stop.by_status[200] > 0
    assert stop.broken == 0
    assert stop.exit_code == 0
    assert stop.refused_afterwards


async def _with_slow_ones(server: ServerProcess) -> Stop:
    slow = await half_a_request(server.port)
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        return await asyncio.to_thread(stop_under_load, server, clients=4, images=2)
    finally:
        slow.transport.abort()
        idle.transport.abort()


def test_a_second_signal_ends_it_though_a_request_is_under_way() -> None:
    async def run(server: ServerProcess) -> int:
        slow = await half_a_request(server.port)
        server.terminate()
        await asyncio.to_thread(server.until_status, READY_PATH, 503)
        server.terminate()
        code = await asyncio.to_thread(server.wait, 30)
        slow.transport.abort()
        return code

    with ServerProcess(DRAIN_SECONDS=3600) as server:
        assert asyncio.run(run(server)) == 0


def test_a_signal_while_the_model_loads_ends_it() -> None:
    with ServerProcess(wait_ready=False, DRAIN_SECONDS=3600) as server:
        server.until_status(LIVE_PATH, 200)
        server.terminate()
        assert server.wait(30) == 0
