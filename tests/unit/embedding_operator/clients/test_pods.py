"""Asking pods: whatever comes back is a report or a text that says why not."""

import asyncio

import httpx
import pytest

from embedding_contract.report import TuningReport, report_to_mapping
from embedding_contract.tuning import Setting
from embedding_operator.clients import pods as module
from embedding_operator.clients.pods import PodReports

REPORT = TuningReport("a", 7, Setting(2, 8), Setting(2, 8), 5.0)


def asked(
    handler: httpx.MockTransport, addresses: dict[str, str] | None = None
) -> dict[str, TuningReport | str]:
    async def go() -> dict[str, TuningReport | str]:
        async with PodReports(handler) as reports:
            return await reports.ask(addresses or {"a": "10.0.0.1"})

    return asyncio.run(go())


def answering(response: httpx.Response) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: response)


def test_a_report_is_read_from_the_pods_own_address() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json=report_to_mapping(REPORT))

    addresses = {"a": "10.0.0.1", "b": "fd00::1"}
    assert asked(httpx.MockTransport(handler), addresses) == {"a": REPORT, "b": REPORT}
    assert sorted(seen) == [
        "http://10.0.0.1:8000/v1/tuning", "http://[fd00::1]:8000/v1/tuning",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(503), "answered 503"),
        (httpx.Response(200, text="hello"), "is not a report of ours"),
        (httpx.Response(200, json={"generation": "x"}), "is not a report of ours"),
        (httpx.Response(200, json=[1]), "is not a report of ours"),
        (httpx.Response(200, content=b" " * 70_000), "answered more than"),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), "answered 302"),
    ],
)
def test_another_answer_is_told(response: httpx.Response, words: str) -> None:
    answer = asked(answering(response))["a"]
    assert isinstance(answer, str)
    assert words in answer


def test_a_refused_connection_is_told() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    assert asked(httpx.MockTransport(handler)) == {"a": "connection refused"}


def test_a_pod_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.01)

    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    assert asked(httpx.MockTransport(handler)) == {"a": "no answer within 0.01 seconds"}


def test_nobody_asked_nobody_answers() -> None:
    async def go() -> dict[str, TuningReport | str]:
        async with PodReports(answering(httpx.Response(500))) as reports:
            return await reports.ask({})

    assert asyncio.run(go()) == {}
