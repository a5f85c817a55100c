"""Probes, metrics, the model, the tuning report and the documentation."""

import json
import re

import pytest

from embedding_contract import metrics
from embedding_contract.report import parse_report
from embedding_contract.tuning import Setting
from embedding_service.engine.starting import WarmUp, WarmupTables
from fakes.web import FixedReporter, Web, error_of, web_with


@pytest.fixture
def web() -> Web:
    return web_with(pod_name="pod-a")


def status(web: Web, path: str) -> tuple[int, str]:
    answer = web.ask("GET", path)
    return answer.status_code, answer.json()["status"]


def test_a_loading_server_is_alive_but_not_ready() -> None:
    web = web_with(ready=False)
    assert status(web, "/livez") == (200, "alive")
    assert status(web, "/readyz") == (503, "loading")
    for path in ("/v1/models", "/v1/tuning"):
        answer = web.ask("GET", path)
        assert (answer.status_code, error_of(answer)["code"]) == (503, "not_ready")
    assert web.ask("GET", "/metrics").status_code == 200


def test_a_warm_server_is_ready_until_it_leaves(web: Web) -> None:
    assert status(web, "/readyz") == (200, "ready")
    web.serving.leave()
    assert status(web, "/readyz") == (503, "leaving")
    web.serving.drain()
    assert status(web, "/readyz") == (503, "draining")
    assert status(web, "/livez") == (200, "alive")


def test_a_stuck_lane_is_not_alive(web: Web) -> None:
    web.pipeline.problem = "lane-0 has been on one batch for 90 s"
    assert status(web, "/livez") == (503, "lane-0 has been on one batch for 90 s")


def test_a_stopped_tuning_watch_is_not_alive() -> None:
    web = web_with(ready=False)
    reporter = FixedReporter(web.settings)
    reporter.stopped = "the tuning file is no longer watched: KeyError"
    web.serving.serve(web.pipeline, reporter)
    assert status(web, "/livez")[0] == 503


def test_a_model_that_is_warm_too_late_does_not_become_ready() -> None:
    web = web_with(ready=False)
    web.serving.leave()
    web.serving.serve(web.pipeline, FixedReporter(web.settings))
    assert status(web, "/readyz") == (503, "leaving")


def test_the_metrics_page_shows_every_metric_of_the_contract(web: Web) -> None:
    text = web.ask("GET", "/metrics").text
    absent = (*metrics.GPU_ONLY, *metrics.WITH_PARITY_CHECK)
    expected = [metric for metric in metrics.ALL if metric not in absent]
    assert [m.name for m in expected if f"# TYPE {m.name} {m.kind}" not in text] == []


def test_the_tuning_report_is_the_contracts(web: Web) -> None:
    report = parse_report(json.loads(web.ask("GET", "/v1/tuning").content))
    assert (report.pod, report.generation) == ("pod-a", None)


def test_the_tuning_report_adds_what_the_pod_knows_about_itself() -> None:
    web = web_with()
    web.pipeline.warmup = WarmUp(WarmupTables({1: 0.01, 32: 0.2}, 0.005), Setting(1, 3, 2, "cpu"))
    web.instruments.cpu(4.0, lambda: 0.0)
    web.serving.activity._clock = iter([10.0, 20.0]).__next__
    web.serving.activity.tick()
    document = json.loads(web.ask("GET", "/v1/tuning").content)
    assert parse_report(document).setting == web.serving.reporter.report.setting
    assert document["suggested"]["semaphoreSize"] == 3
    assert document["warmup"]["lane_seconds"] == {"1": 0.01, "32": 0.2}
    assert document["activity"]["seconds"] == 10.0
    assert document["activity"]["bottleneck"] == "ClientLimited"
    assert document["activity"]["shares"]["gpu"] is None


def test_before_there_is_a_window_nothing_is_judged(web: Web) -> None:
    document = json.loads(web.ask("GET", "/v1/tuning").content)
    assert (document["activity"], document["warmup"], document["suggested"]) == (None, None, None)


def test_the_example_of_the_tuning_report_has_the_keys_of_the_answer() -> None:
    web = web_with()
    web.pipeline.warmup = WarmUp(WarmupTables({1: 0.01}, 0.005), Setting(1, 3, 2, "cpu"))
    web.serving.activity._clock = iter([10.0, 20.0]).__next__
    web.serving.activity.tick()
    answer = json.loads(web.ask("GET", "/v1/tuning").content)
    document = web.ask("GET", "/openapi.json").json()
    content = document["paths"]["/v1/tuning"]["get"]["responses"]["200"]["content"]
    example = content["application/json"]["example"]
    assert parse_report(example).generation == 7
    assert set(example) == set(answer)
    for part in ("activity", "warmup", "suggested"):
        assert set(example[part]) == set(answer[part]), part
    assert set(example["activity"]["shares"]) == set(answer["activity"]["shares"])
    assert sum(example["activity"]["parts"].values()) == pytest.approx(1)


def test_the_model_says_what_it_is(web: Web) -> None:
    (card,) = web.ask("GET", "/v1/models").json()["data"]
    assert (card["id"], card["object"], card["dimensions"]) == ("fake", "model", 8)
    assert card["meaningful"] is False


def test_the_documentation_is_whole_and_loads_nothing_from_elsewhere(web: Web) -> None:
    page = web.ask("GET", "/docs").text
    for path in ("/v1/embeddings", "/embed", "/v1/models", "/v1/tuning", "/livez", "/metrics"):
        assert path in page
    assert not re.search(r"""(src|href|action|url)\s*[=(]\s*["']?\s*(https?:)?//""", page)
    assert "@import" not in page
    assert "<script" not in page


def test_the_openapi_document_has_examples_that_work(web: Web) -> None:
    document = web.ask("GET", "/openapi.json").json()
    request = document["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]
    example = request["application/json"]["example"]
    example["input"] = example["input"][0]
    assert web.ask("POST", "/v1/embeddings", json=example).status_code == 200
