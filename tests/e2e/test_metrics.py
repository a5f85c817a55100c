"""Prometheus's own linter on a real scrape: here its program is always built."""

from fakes.promtool import complaints, promtool
from fakes.simulated_server import simulated_web


def test_promtool_finds_nothing_to_complain_about() -> None:
    program = promtool()
    assert program is not None
    with simulated_web(on_gpu=True) as (_, web):
        assert web.ask("POST", "/v1/embeddings", json={"input": "a cat"}).status_code == 200
        scrape = web.ask("GET", "/metrics").text
    assert complaints(program, scrape) == ""
