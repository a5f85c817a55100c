"""Class and deadline of a request: what its headers say, and what follows from its size."""

import asyncio
import contextlib
import math
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.endpoints import DEADLINE_HEADER, PRIORITY_HEADER
from embedding_service.engine.terms import Terms
from embedding_service.web.claim import (
    LONGEST_DEADLINE_SECONDS,
    begin_claim,
    estimated_items,
)
from embedding_service.web.failures import ItemFault
from fakes.pipeline import IMAGE
from fakes.waiting import until
from fakes.web import Web, error_of, settings_with, web_with

URL = "/v1/embeddings"
TEXT = {"input": "a cat"}
MEBIBYTE = 1024 * 1024


def terms_of(web: Web) -> Terms:
    assert web.pipeline.terms is not None
    return web.pipeline.terms


def files(count: int) -> dict[str, Any]:
    return {"files": [("files", (f"{one}.jpg", IMAGE + bytes([one]))) for one in range(count)]}


@pytest.mark.parametrize(
    ("headers", "count", "priority"),
    [
        ({}, 1, "live"), ({}, 4, "live"), ({}, 5, "bulk"),
        ({PRIORITY_HEADER: "bulk"}, 1, "bulk"), ({PRIORITY_HEADER: " Live "}, 9, "live"),
    ],
)  # fmt: skip
def test_the_class_is_what_the_client_says_else_small_is_live(
    headers: dict[str, str], count: int, priority: str
) -> None:
    web = web_with()
    assert web.ask("POST", "/embed", headers=headers, **files(count)).status_code == 200
    assert terms_of(web).priority == priority
    texts = {"input": ["a cat"] * count}
    assert web.ask("POST", URL, headers=headers, json=texts).status_code == 200
    assert terms_of(web) == Terms(terms_of(web).priority, math.inf)
    assert terms_of(web).priority == priority


@pytest.mark.parametrize("value", ["fast", "live,bulk", "0", "b\u00fclk".encode()])
def test_an_unknown_class_is_refused(value: str) -> None:
    answer = web_with().ask("POST", URL, json=TEXT, headers={PRIORITY_HEADER: value})
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == ("invalid_value", PRIORITY_HEADER)
    assert "send live or bulk" in error["message"]


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "1s", "0x10", "1,5"])
def test_a_deadline_that_is_no_number_is_refused(value: str) -> None:
    answer = web_with().ask("POST", URL, json=TEXT, headers={DEADLINE_HEADER: value})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == DEADLINE_HEADER


@given(st.text(max_size=20), st.sampled_from([PRIORITY_HEADER, DEADLINE_HEADER]))
def test_whatever_the_headers_say_there_is_a_claim_or_a_clear_refusal(text: str, name: str) -> None:
    deadline = math.inf
    with contextlib.suppress(ItemFault):
        deadline = begin_claim({}, {name.lower(): text}, settings_with(), 100.0).deadline
    assert 100.0 <= deadline <= 100.0 + LONGEST_DEADLINE_SECONDS or math.isinf(deadline)


@pytest.mark.parametrize(
    ("header", "default", "left"),
    [
        (None, 0.0, math.inf),
        (None, 9.0, 9.0),
        ("2.5", 9.0, 2.5),
        ("1e9", 9.0, 3600.0),
        ("-3", 9.0, 0),
    ],
)
def test_a_deadline_is_the_clients_else_the_servers(
    header: str | None, default: float, left: float
) -> None:
    settings = settings_with(deadline_seconds=default)
    headers = {} if header is None else {DEADLINE_HEADER.lower(): header}
    claim = begin_claim({}, headers, settings, 50.0)
    assert claim.deadline == 50.0 + left


@pytest.mark.parametrize(
    ("path", "headers", "items"),
    [
        (URL, {"content-length": "100"}, 1),
        (URL, {"content-length": str(MEBIBYTE)}, 4),
        ("/embed", {"content-length": str(10 * MEBIBYTE)}, 40),
        ("/embed", {"content-length": "300", "content-type": "application/json"}, 40),
        ("/embed", {"transfer-encoding": "chunked"}, 40),
        ("/embed", {}, 1),
    ],
)
def test_before_the_body_is_read_its_size_gives_an_estimate(
    path: str, headers: dict[str, str], items: int
) -> None:
    assert estimated_items(path, headers) == items


@pytest.mark.parametrize("seconds", ["0", "-1", "0.05"])
def test_late_is_504_and_the_permit_is_free_at_once(seconds: str) -> None:
    web = web_with(semaphore_size=1)

    async def run() -> httpx.Response:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            return await client.post(URL, json=TEXT, headers={DEADLINE_HEADER: seconds})

    answer = asyncio.run(run())
    assert answer.status_code == 504
    error = error_of(answer)
    assert (error["code"], error["type"]) == ("deadline_exceeded", "server_error")
    assert (web.pipeline.admission.in_flight, web.pipeline.admission.waiting) == (0, 0)
    assert web.pipeline.cancelled == web.pipeline.started
    assert web.count("embedding_requests_total", outcome="expired") == 1


def test_the_deadline_holds_while_a_request_waits_for_its_permit() -> None:
    web = web_with(semaphore_size=1)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post(URL, json=TEXT))
            await until(lambda: web.pipeline.started == 1)
            late = await client.post(URL, json=TEXT, headers={DEADLINE_HEADER: "0.05"})
            assert (late.status_code, web.pipeline.started) == (504, 1)
            assert web.pipeline.admission.waiting == 0
            web.pipeline.let_go()
            assert (await first).status_code == 200

    asyncio.run(run())


def test_the_servers_own_deadline_holds_where_the_client_names_none() -> None:
    web = web_with(deadline_seconds=0.05)

    async def run() -> int:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            return (await client.post(URL, json=TEXT)).status_code

    assert asyncio.run(run()) == 504


def test_a_live_request_is_admitted_before_albums_that_came_first() -> None:
    web = web_with(semaphore_size=1, queue_size=2)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:

            def send(priority: str) -> asyncio.Task[httpx.Response]:
                head = {PRIORITY_HEADER: priority}
                return asyncio.create_task(client.post(URL, json=TEXT, headers=head))

            first = send("bulk")
            await until(lambda: web.pipeline.started == 1)
            albums = [send("bulk"), send("bulk")]
            await until(lambda: web.pipeline.admission.waiting == 2)
            assert (await send("bulk")).status_code == 429  # their queue is full
            live = send("live")  # and does not keep live requests out
            await until(lambda: web.pipeline.admission.waiting == 3)
            first.cancel()
            await until(lambda: web.pipeline.started == 2)
            assert terms_of(web).priority == "live"
            web.pipeline.let_go()
            answers = await asyncio.gather(live, *albums)
            assert [answer.status_code for answer in answers] == [200] * 3

    asyncio.run(run())


def test_admitted_by_images_what_is_above_the_estimate_waits_for_room() -> None:
    web = web_with(semaphore_size=1, admit_by="images", queue_timeout_seconds=0.1)

    async def run() -> None:
        web.pipeline.hold()
        async with httpx.AsyncClient(transport=web.transport(), base_url="http://x") as client:
            first = asyncio.create_task(client.post("/embed", **files(30)))
            await until(lambda: web.pipeline.started == 1)
            assert web.pipeline.admission.permits_in_use == 30 / 40
            small = asyncio.create_task(client.post("/embed", **files(10)))
            await until(lambda: web.pipeline.started == 2)
            refused = await client.post("/embed", **files(20))
            assert (refused.status_code, web.pipeline.started) == (429, 2)
            assert int(refused.headers["retry-after"]) >= 1
            assert web.pipeline.admission.permits_in_use == 1.0
            web.pipeline.let_go()
            assert [(await one).status_code for one in (first, small)] == [200, 200]

    asyncio.run(run())
    assert web.pipeline.admission.permits_in_use == 0
