"""The socket to Prometheus: what is sent, what is read, and one exception for every fault."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import parse_qs

import httpx
import pytest

from embedding_operator.clients.prometheus import AT_ONCE, Prometheus
from embedding_operator.errors import PrometheusUnavailable
from embedding_operator.tuning.queries import QUERIES, Answers
from embedding_operator.tuning.window import build_windows
from simulation.figures import Figures, answers

ENDS = (940.0, 970.0, 1000.0)
ADDRESS = "http://prometheus.test:9090/prefix/"
EMPTY = {"status": "success", "data": {"resultType": "matrix", "result": []}}
Handle = Callable[[httpx.Request], httpx.Response]


def ask(handle: Handle, **more: object) -> Answers:
    async def once() -> Answers:
        transport = httpx.MockTransport(handle)
        async with Prometheus(transport, **more) as client:  # type: ignore[arg-type]
            return await client.ask(ADDRESS, "team-a", ["clip-1"], ENDS, window_seconds=30.0)

    return asyncio.run(once())


def answer(document: object, status: int = 200) -> Handle:
    return lambda request: httpx.Response(status, json=document)


def test_every_question_is_asked_once_for_all_windows() -> None:
    seen: list[tuple[str, dict[str, list[str]]]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), parse_qs(request.content.decode())))
        return httpx.Response(200, json=EMPTY)

    assert set(ask(handle)) == {query.name for query in QUERIES}
    assert {url for url, _ in seen} == {"http://prometheus.test:9090/prefix/api/v1/query_range"}
    assert sorted(form["query"][0] for _, form in seen) == sorted(
        query.text("team-a", ["clip-1"], 30.0) for query in QUERIES
    )
    for _, form in seen:
        assert (form["start"], form["end"], form["step"]) == (["940.000"], ["1000.000"], ["30.000"])


def test_answers_become_windows_whatever_their_numbers_look_like() -> None:
    made = answers({"clip-1": Figures(cpu=0.75)}, ENDS)
    texts = {query.text("team-a", ["clip-1"], 30.0): query.name for query in QUERIES}

    def handle(request: httpx.Request) -> httpx.Response:
        name = texts[parse_qs(request.content.decode())["query"][0]]
        result = [
            {"metric": one.labels, "values": [[time, str(value)] for time, value in one.points]}
            for one in made[name]
        ]
        data = {"resultType": "matrix", "result": result}
        return httpx.Response(200, json={"status": "success", "data": data})

    windows = build_windows(ask(handle), {"clip-1": 0.0}, ENDS, 30.0)
    assert isinstance(windows, tuple)
    assert [window.end for window in windows] == list(ENDS)
    assert windows[-1].over().share("cpu") == 0.75


def test_not_a_number_is_read_as_what_it_is() -> None:
    values = [[1000.0, "NaN"], [1000, "+Inf"]]
    data = {"resultType": "matrix", "result": [{"metric": {"pod": "a"}, "values": values}]}
    points = ask(answer({"status": "success", "data": data}))["images"][0].points
    assert str(points) == "((1000.0, nan), (1000.0, inf))"


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"status": "error", "error": "query timed out"}, 503, "503: query timed out"),
        ({"status": "error"}, 200, "did not answer"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, 200, "matrix"),
        ({"status": "success", "data": {"resultType": "matrix", "result": [1]}}, 200, "did not"),
        ([], 200, "did not answer as Prometheus does"),
        ("text", 404, "answered 404$"),
        ({"password": "secret"}, 401, "answered 401$"),
    ],
)
def test_an_answer_that_is_none_is_one_kind_of_error(
    document: object, status: int, words: str
) -> None:
    with pytest.raises(PrometheusUnavailable, match=words):
        ask(answer(document, status))


def test_no_json_is_an_error_too() -> None:
    with pytest.raises(PrometheusUnavailable, match="did not answer as Prometheus does"):
        ask(lambda request: httpx.Response(200, content=b"<html>login</html>"))


def test_nobody_there_is_said_with_the_address() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(PrometheusUnavailable, match=r"prometheus\.test.*connection refused"):
        ask(refuse)


def test_an_answer_that_never_ends_is_cut() -> None:
    with pytest.raises(PrometheusUnavailable, match="larger than 1000 bytes"):
        ask(lambda request: httpx.Response(200, content=b"x" * 4000), max_answer_bytes=1000)


def test_a_server_that_hangs_is_given_up() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError(request)

    with pytest.raises(PrometheusUnavailable, match=r"within 0\.05 s"):
        ask(hang, tick_seconds=0.05)  # type: ignore[arg-type]


def test_one_failure_fails_the_tick() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        broken = b"gil_busy" in request.content
        return httpx.Response(500 if broken else 200, content=json.dumps(EMPTY))

    with pytest.raises(PrometheusUnavailable, match="500"):
        ask(handle)


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(PrometheusUnavailable, match="302"):
        ask(lambda request: httpx.Response(302, headers={"location": "http://elsewhere.test"}))


def test_only_a_few_questions_are_under_way_at_once() -> None:
    under_way = most = 0

    async def handle(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return httpx.Response(200, json=EMPTY)

    ask(handle)  # type: ignore[arg-type]
    assert 1 < most <= AT_ONCE
