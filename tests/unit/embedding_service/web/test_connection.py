"""Slow peers over real sockets: each of them has an end, and none holds a permit meanwhile."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_service.web import body, connection, lifecycle
from embedding_service.web.connection import BoundedConnection, connection_limit
from fakes.waiting import until
from fakes.web import Web, over_socket, web_with

URL = "/v1/embeddings"
TEXT = {"input": "a cat"}
WORDS = json.dumps(TEXT).encode()


@asynccontextmanager
async def peer(
    client: httpx.AsyncClient,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def head(length: int, *more: str) -> bytes:
    lines = [f"POST {URL} HTTP/1.1", "host: x", f"content-length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return everything until the server closes."""
    async with asyncio.timeout(10):
        return await reader.read()


@pytest.mark.parametrize("half", [b"POST /v1/emb", head(10)[:-2]], ids=repr)
def test_half_a_head_is_answered_and_ended(half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)

    async def run() -> bytes:
        async with over_socket(web_with()) as client, peer(client) as (reader, writer):
            writer.write(half)
            return await all_of(reader)

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def test_bytes_that_trickle_do_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)

    async def run() -> tuple[bytes, int]:
        async with over_socket(web_with()) as client, peer(client) as (reader, writer):
            ended = asyncio.create_task(all_of(reader))
            sent = 0
            while not ended.done():
                writer.write(b"GET /livez HTTP/1.1\r\nx: "[:25] if not sent else b"x")
                sent += 1
                await asyncio.sleep(0.01)
            return await ended, sent

    answer, sent = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 408")
    assert sent > 2


def test_a_second_request_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)

    async def run() -> bytes:
        async with over_socket(web_with()) as client, peer(client) as (reader, writer):
            writer.write(head(len(WORDS)) + WORDS + b"POST /v1")
            return await all_of(reader)

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answer


@pytest.mark.parametrize("noise", [b"", b"\r\n"])
def test_a_connection_without_a_request_is_closed(
    noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "KEEP_ALIVE_SECONDS", 0.05)

    async def run() -> bytes:
        async with over_socket(web_with()) as client, peer(client) as (reader, writer):
            writer.write(noise)
            return await all_of(reader)

    assert asyncio.run(run()) == b""


def test_a_head_without_end_is_refused() -> None:
    async def run() -> bytes:
        async with over_socket(web_with()) as client, peer(client) as (reader, writer):
            writer.write(b"GET /livez HTTP/1.1\r\n")
            ended = asyncio.create_task(all_of(reader))
            with contextlib.suppress(OSError):
                for _ in range(40):
                    writer.write(b"x: " + bytes([120]) * 4000 + b"\r\n")
                    await writer.drain()
            return await ended

    assert asyncio.run(run()).startswith(b"HTTP/1.1 431 ")


def test_a_refused_body_that_trickles_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_BODY_SECONDS", 0.05)

    async def run() -> bytes:
        web = web_with(max_request_bytes=1024)
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(5000) + b"x")
            return await all_of(reader)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 413")


def test_after_a_refused_body_the_connection_is_idle_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(lifecycle, "KEEP_ALIVE_SECONDS", 0.2)

    async def run() -> bytes:
        web = web_with(max_request_bytes=1024)
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(5000) + b"x")
            refused = await reader.readuntil(b"}}")
            writer.write(bytes(4999))
            return refused + await all_of(reader)

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.count(b"HTTP/1.1") == 1


def test_who_never_reads_its_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_GRACE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "MIN_BYTES_PER_SECOND", 10**9)
    web = web_with()
    lost: list[BoundedConnection] = []
    honest = BoundedConnection.connection_lost

    def note(self: BoundedConnection, error: Exception | None) -> None:
        lost.append(self)
        honest(self, error)

    monkeypatch.setattr(BoundedConnection, "connection_lost", note)

    async def run() -> None:
        async with over_socket(web) as client:
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(deaf.connect, (client.base_url.host, client.base_url.port or 0))
            deaf.setblocking(False)
            with deaf:
                with contextlib.suppress(BlockingIOError):
                    for _ in range(3000):
                        deaf.send(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
                await until(lambda: bool(lost), 20)
            assert (await client.post(URL, json=TEXT)).status_code == 200

    asyncio.run(run())


def test_a_new_connection_takes_the_place_of_the_longest_idle_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BoundedConnection, "limit", 2)

    async def run() -> None:
        async with (
            over_socket(web_with()) as client,
            peer(client) as (first, _),
            peer(client) as (second, answered),
            peer(client) as (third, newest),
        ):
            assert await all_of(first) == b""
            for reader, writer in ((second, answered), (third, newest)):
                writer.write(head(len(WORDS), "connection: close") + WORDS)
                assert (await all_of(reader)).startswith(b"HTTP/1.1 200")

    asyncio.run(run())


def test_when_all_are_at_work_the_newest_connection_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BoundedConnection, "limit", 1)
    web = web_with()

    async def run() -> bytes:
        web.pipeline.hold()
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(len(WORDS), "connection: close") + WORDS)
            await until(lambda: web.pipeline.started == 1)
            async with peer(client) as (newest, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await all_of(newest) == b""
            web.pipeline.let_go()
            return await all_of(reader)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")


@given(st.integers(1, 2**31))
def test_the_limit_of_connections_leaves_descriptors_for_the_server(descriptors: int) -> None:
    limit = connection_limit(descriptors)
    assert 1 <= limit <= connection.MAX_CONNECTIONS
    assert descriptors - limit >= min(connection.OWN_DESCRIPTORS, descriptors // 2)


def test_a_client_whose_body_does_not_come_holds_no_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LAG_SECONDS", 0.01)
    web = web_with(semaphore_size=1)

    async def run() -> bytes:
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(len(WORDS), "connection: close") + WORDS[:1])
            assert (await client.post(URL, json=TEXT)).status_code == 200
            await until(lambda: web.pipeline.admission.in_flight == 0)
            writer.write(WORDS[1:])
            return await all_of(reader)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")
    assert web.pipeline.admission.in_flight == 0
    assert web.count("embedding_requests_total", outcome="ok") == 2


def test_a_big_body_that_begins_slowly_takes_its_permit_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body, "LAG_SECONDS", 0.01)
    web = web_with(semaphore_size=1)

    async def run() -> None:
        admission = web.pipeline.admission
        async with over_socket(web) as client, peer(client) as (_, writer):
            writer.write(head(200_000) + b" ")
            assert (await client.post(URL, json=TEXT)).status_code == 200
            await until(lambda: admission.in_flight == 0)
            writer.write(bytes(100_000))
            await until(lambda: admission.in_flight == 1)
        await until(lambda: admission.in_flight == 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "constant"), [(1, "GRACE_SECONDS"), (150_000, "BULK_GRACE_SECONDS")]
)
def test_a_body_that_stops_is_ended_with_408(
    sent: int, constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, constant, 0.05)
    monkeypatch.setattr(body, "MIN_BYTES_PER_SECOND", 10**8)
    web = web_with(semaphore_size=1)

    async def run() -> bytes:
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(200_000) + bytes(sent))
            return await all_of(reader)

    assert b" 408 " in asyncio.run(run())
    assert web.pipeline.admission.in_flight == 0


def counted(web: Web, outcome: str) -> float:
    return web.count("embedding_requests_total", outcome=outcome)


def test_a_lagging_request_waits_again_and_may_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LAG_SECONDS", 0.01)
    web = web_with(semaphore_size=1, queue_size=0)

    async def run() -> bytes:
        async with over_socket(web) as client, peer(client) as (reader, writer):
            writer.write(head(len(WORDS), "connection: close") + WORDS[:1])
            await until(lambda: web.pipeline.admission.in_flight == 1)
            await until(lambda: web.pipeline.admission.in_flight == 0)
            web.pipeline.hold()
            busy = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            writer.write(WORDS[1:])
            answer = await all_of(reader)
            web.pipeline.let_go()
            assert (await busy).status_code == 200
            return answer

    assert asyncio.run(run()).startswith(b"HTTP/1.1 429")
    assert (counted(web, "ok"), counted(web, "rejected")) == (1, 1)
