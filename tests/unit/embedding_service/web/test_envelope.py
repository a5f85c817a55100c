"""Request ids, Server-Timing, the shape of every error, the request log."""

import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_service.errors import ClientFault, Draining, Overloaded, ServerFault
from embedding_service.web.failures import ItemFault, failure_of, outcome_of
from fakes.web import Web, error_of, web_with

TEXT = {"input": "a cat"}


@pytest.fixture(scope="module")
def web() -> Web:
    return web_with()


def test_a_sane_request_id_is_kept(web: Web) -> None:
    answer = web.ask("POST", "/v1/embeddings", json=TEXT, headers={"x-request-id": "Abc-1:2.3_"})
    assert answer.headers["x-request-id"] == "Abc-1:2.3_"


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 129, "<script>", "a\tb", 'a"b'])
def test_another_request_id_is_replaced(web: Web, given_id: str) -> None:
    answer = web.ask("GET", "/livez", headers={"x-request-id": given_id})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


def test_server_timing_names_the_parts(web: Web) -> None:
    value = web.ask("POST", "/v1/embeddings", json=TEXT).headers["server-timing"]
    names = [part.split(";")[0] for part in value.split(", ")]
    assert names == ["wait", "body", "fetch", "embed", "serialise", "total"]
    assert re.fullmatch(r"(\w+;dur=\d+\.\d+(, )?)+", value)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
        ("POST", "/embed/", 404, "not_found"),
    ],
)
def test_the_routers_errors_have_the_same_shape(
    web: Web, method: str, path: str, status: int, code: str
) -> None:
    answer = web.ask(method, path)
    assert answer.status_code == status
    assert error_of(answer)["code"] == code
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("error", "status", "code", "retry"),
    [
        (Overloaded("full", 2.2), 429, "overloaded", 3),
        (Overloaded("full", 0.0), 429, "overloaded", 1),
        (Draining("bye"), 503, "draining", 1),
        (ClientFault(413, "request_too_large", "big"), 413, "request_too_large", None),
        (ItemFault("input[1]", "not_an_image", "text"), 400, "not_an_image", None),
        (ServerFault("a lane failed"), 500, "server_fault", None),
        (RuntimeError("secret"), 500, "internal_error", None),
    ],
)
def test_the_table_of_failures(error: Exception, status: int, code: str, retry: int | None) -> None:
    failure = failure_of(error)
    assert (failure.status, failure.code, failure.retry_after_seconds) == (status, code, retry)
    assert "secret" not in failure.message


@settings(deadline=None)
@given(st.integers(100, 599))
def test_every_status_has_one_outcome(status: int) -> None:
    outcome = outcome_of(status)
    assert (outcome == "ok") == (status < 400)
    assert (outcome == "rejected") == (status in {429, 503})


def test_work_is_logged_without_its_body(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "embedding_service.requests"):
        web.ask("POST", "/v1/embeddings", json={"input": "a secret text"})
        web.ask("POST", "/v1/embeddings", json={"input": [1]})
        web.ask("GET", "/livez")
    good, bad = caplog.records
    assert "secret" not in repr(vars(good))
    assert {"status": 200, "outcome": "ok", "items": 1, "code": ""}.items() <= vars(good).items()
    assert {"status": 400, "code": "tokens_not_supported"}.items() <= vars(bad).items()


def test_the_reason_of_our_own_fault_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    web = web_with()
    web.pipeline.fault = RuntimeError("the reason")
    web.ask("POST", "/v1/embeddings", json=TEXT)
    assert "RuntimeError: the reason" in caplog.text


def test_a_fault_outside_the_work_is_answered_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(now: float) -> None:
        raise ZeroDivisionError(now)

    web = web_with()
    monkeypatch.setattr(web.pipeline, "alive", broken)
    answer = web.ask("GET", "/livez")
    assert answer.status_code == 500
    assert error_of(answer)["code"] == "internal_error"
    assert "ZeroDivisionError" in caplog.text
