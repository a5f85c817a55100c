"""The gate: readiness, size, permit, disconnect. Over real sockets where the wire matters."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message

from embedding_service.web import body as body_module
from embedding_service.web.app import create_app
from fakes.pipeline import IMAGE
from fakes.waiting import until
from fakes.web import Web, error_of, over_socket, web_with

TEXT = {"input": "a cat"}
URL = "/v1/embeddings"


async def cut_off(address: httpx.URL, request: bytes) -> None:
    """Send `request` and drop the connection when the test is done with it."""
    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    await writer.drain()
    try:
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()


def raw(content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + content


def test_while_the_model_loads_work_is_sent_away() -> None:
    answer = web_with(ready=False).ask("POST", URL, json=TEXT)
    assert answer.status_code == 503
    assert (error_of(answer)["code"], answer.headers["retry-after"]) == ("not_ready", "5")


def test_while_draining_work_is_sent_away_but_not_while_leaving() -> None:
    web = web_with()
    web.serving.leave()
    leaving = web.ask("POST", URL, json=TEXT)
    assert (leaving.status_code, leaving.headers["connection"]) == (200, "close")
    web.serving.drain()
    answer = web.ask("POST", URL, json=TEXT)
    assert answer.status_code == 503
    assert (error_of(answer)["code"], answer.headers["retry-after"]) == ("draining", "1")
    assert web.count("embedding_requests_total", outcome="rejected") == 1


def test_when_permits_and_queue_are_full_the_next_one_is_refused_at_once() -> None:
    web = web_with(semaphore_size=1, queue_size=1)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            second = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.admission.waiting == 1)
            third = await client.post(URL, json=TEXT)
            assert third.status_code == 429
            assert int(third.headers["retry-after"]) >= 1
            assert error_of(third)["type"] == "rate_limit_error"
            web.pipeline.let_go()
            assert [(await one).status_code for one in (first, second)] == [200, 200]

    asyncio.run(run())
    assert web.count("embedding_requests_total", outcome="rejected") == 1
    assert web.count("embedding_requests_total", outcome="ok") == 2


def test_who_waits_too_long_is_refused() -> None:
    web = web_with(semaphore_size=1, queue_timeout_seconds=0.05)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            late = await client.post(URL, json=TEXT)
            assert late.status_code == 429
            assert "0.05 seconds" in error_of(late)["message"]
            web.pipeline.let_go()
            await first

    asyncio.run(run())
    # The refusal is counted, and does not flatter the percentiles that the tuner reads.
    assert web.count("embedding_requests_total", outcome="rejected") == 1
    assert web.count("embedding_request_duration_seconds_count") == 1


def test_a_refusal_does_not_read_the_body() -> None:
    web = web_with(semaphore_size=1, queue_size=0)
    read: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield bytes(100)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            await client.post(URL, content=pieces(), headers={"content-length": "100000"})
            web.pipeline.let_go()
            await first

    asyncio.run(run())
    assert not read


def test_a_body_over_the_limit_is_refused_by_its_length() -> None:
    web = web_with(max_request_bytes=2048)
    read: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        read.append(1)
        yield bytes(2049)

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            return await client.post(URL, content=pieces(), headers={"content-length": "2049"})

    answer = asyncio.run(run())
    assert answer.status_code == 413
    assert (error_of(answer)["code"], read) == ("request_too_large", [])
    assert "2048 bytes" in error_of(answer)["message"]
    assert web.pipeline.started == 0


def test_a_body_of_unknown_length_is_refused_when_it_passes_the_limit() -> None:
    web = web_with(max_request_bytes=4096)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(1000)

    async def run() -> httpx.Response:
        async with over_socket(web) as client:
            return await client.post(URL, content=pieces())

    answer = asyncio.run(run())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert error_of(answer)["code"] == "request_too_large"
    assert web.pipeline.admission.in_flight == 0


def test_a_client_reads_why_a_huge_upload_was_refused() -> None:
    web = web_with(max_request_bytes=4096)

    async def run() -> httpx.Response:
        async with over_socket(web) as client:
            return await client.post(URL, content=bytes(8 * 1024 * 1024))

    assert asyncio.run(run()).status_code == 413


@pytest.mark.parametrize("way", ["leaving", "asked"])
def test_a_client_reads_why_it_was_refused_though_the_connection_ends(way: str) -> None:
    web = web_with(semaphore_size=1, queue_size=0)
    content = bytes(900_000)  # under what is thrown away, over what a socket holds unread
    if way == "leaving":
        web.serving.leave()

    async def run() -> list[int]:
        web.pipeline.hold()
        async with over_socket(web) as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            head = {"connection": "close"} if way == "asked" else {}
            refused = [await _post_slowly(client, content, head) for _ in range(3)]
            web.pipeline.let_go()
            await first
            return refused

    assert asyncio.run(run()) == [429, 429, 429]


async def _post_slowly(client: httpx.AsyncClient, content: bytes, head: dict[str, str]) -> int:
    """Send a body in pieces, so that the answer comes before its end."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]
            await asyncio.sleep(0.01)

    sized = head | {"content-length": str(len(content))}
    return (await client.post(URL, content=pieces(), headers=sized)).status_code


def test_a_refused_small_body_keeps_the_connection() -> None:
    web = web_with(max_request_bytes=4096)

    async def run() -> list[int]:
        async with over_socket(web) as client:
            one = await client.post(URL, content=bytes(5000))
            two = await client.post(URL, json=TEXT)
            assert "connection" not in one.headers
            return [one.status_code, two.status_code]

    assert asyncio.run(run()) == [413, 200]


def test_a_client_that_leaves_cancels_its_work() -> None:
    web = web_with(semaphore_size=1)

    async def run() -> None:
        web.pipeline.hold()
        async with over_socket(web) as client:
            content = json.dumps(TEXT).encode()
            gone = asyncio.create_task(cut_off(client.base_url, raw(content)))
            await until(lambda: web.pipeline.started == 1)
            gone.cancel()
            await until(lambda: web.pipeline.cancelled == 1)
            await until(lambda: web.pipeline.admission.in_flight == 0)
            web.pipeline.let_go()
            assert (await client.post(URL, json=TEXT)).status_code == 200

    asyncio.run(run())
    assert web.count("embedding_requests_total", outcome="cancelled") == 1
    assert web.count("embedding_requests_total", outcome="ok") == 1


def test_a_client_that_leaves_the_queue_frees_its_place() -> None:
    web = web_with(semaphore_size=1, queue_size=1)

    async def run() -> None:
        web.pipeline.hold()
        async with over_socket(web) as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            gone = asyncio.create_task(cut_off(client.base_url, raw(json.dumps(TEXT).encode())))
            await until(lambda: web.pipeline.admission.waiting == 1)
            gone.cancel()
            await until(lambda: web.pipeline.admission.waiting == 0)
            web.pipeline.let_go()
            assert (await first).status_code == 200

    asyncio.run(run())
    assert web.pipeline.started == 1


def test_a_client_that_leaves_in_the_middle_of_its_body_frees_its_permit() -> None:
    web = web_with(semaphore_size=1)

    async def run() -> None:
        async with over_socket(web) as client:
            half = raw(bytes(100_000), 200_000)
            gone = asyncio.create_task(cut_off(client.base_url, half))
            await until(lambda: web.pipeline.admission.in_flight == 1)
            gone.cancel()
            await until(lambda: web.pipeline.admission.in_flight == 0)

    asyncio.run(run())
    assert web.count("embedding_requests_total", outcome="cancelled") == 1


def test_a_body_that_comes_too_slowly_gives_its_permit_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_module, "GRACE_SECONDS", 0.05)
    web = web_with()

    async def run() -> bytes:
        async with over_socket(web) as client:
            reader, writer = await asyncio.open_connection(
                client.base_url.host, client.base_url.port
            )
            writer.write(raw(b'{"inp', 100))
            line = await reader.readline()
            writer.close()
            return line

    assert b" 408 " in asyncio.run(run())
    assert web.pipeline.admission.in_flight == 0


def test_a_slow_reader_does_not_hold_a_permit() -> None:
    web = web_with(semaphore_size=1)
    content = json.dumps(TEXT).encode()
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": URL, "raw_path": b"",
        "query_string": b"", "headers": [(b"content-length", b"%d" % len(content))],
    }  # fmt: skip
    in_flight: list[int] = []

    async def run() -> None:
        taken = asyncio.Event()
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Message:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop()

        async def send(message: Message) -> None:
            in_flight.append(web.pipeline.admission.in_flight)
            if message["type"] == "http.response.body":
                await taken.wait()

        answering = asyncio.create_task(create_app(web.serving)(scope, receive, send))
        await until(lambda: len(in_flight) == 2)
        taken.set()
        await answering

    asyncio.run(run())
    assert in_flight == [0, 0]


def test_expect_100_is_answered_before_the_body_is_asked_for() -> None:
    web = web_with(ready=False)

    async def run() -> bytes:
        async with over_socket(web) as client:
            reader, writer = await asyncio.open_connection(
                client.base_url.host, client.base_url.port
            )
            head = raw(b"", 5_000_000).replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")
            writer.write(head)
            line = await reader.readline()
            writer.close()
            return line

    assert b" 503 " in asyncio.run(run())


def test_probes_and_reports_need_no_permit() -> None:
    web = web_with(semaphore_size=1, queue_size=0)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            for path in ("/livez", "/readyz", "/metrics", "/v1/models", "/v1/tuning", "/docs"):
                assert (await client.get(path)).status_code == 200
            web.pipeline.let_go()
            await first

    asyncio.run(run())
    assert web.count("embedding_request_duration_seconds_count") == 1


def test_many_clients_that_leave_leak_no_permit() -> None:
    web = web_with(semaphore_size=2, queue_size=50)

    async def run() -> None:
        web.pipeline.hold()
        async with over_socket(web) as client:
            request = raw(json.dumps({"input": {"image": IMAGE.hex()}}).encode())
            gone = [asyncio.create_task(cut_off(client.base_url, request)) for _ in range(20)]
            text = raw(json.dumps(TEXT).encode())
            gone += [asyncio.create_task(cut_off(client.base_url, text)) for _ in range(20)]
            admission = web.pipeline.admission
            await until(lambda: admission.in_flight == 2 and admission.waiting > 5)
            for task in gone:
                task.cancel()
            await until(lambda: admission.in_flight == 0 and admission.waiting == 0)

    asyncio.run(run())


def outcomes(web: Web) -> dict[str, float]:
    names = ("ok", "rejected", "client_fault", "server_fault", "cancelled")
    return {name: web.count("embedding_requests_total", outcome=name) for name in names}


def test_a_request_is_counted_once() -> None:
    web = web_with()
    web.ask("POST", URL, json=TEXT)
    web.ask("POST", URL, content=b"{")
    web.ask("GET", URL)
    web.ask("GET", "/nowhere")
    assert outcomes(web) == {
        "ok": 1, "rejected": 0, "client_fault": 1, "server_fault": 0, "cancelled": 0,
    }  # fmt: skip
