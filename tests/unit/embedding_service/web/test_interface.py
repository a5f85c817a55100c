"""schemathesis reads the OpenAPI document and asks the server what nobody thought of.

Requests that obey the document and requests that do not, over a real socket, on simulated lanes:
no answer is a 5xx, and each has a status, a type, headers and a shape that the document names.
SLUICE_FUZZ_EXAMPLES sets how many requests are made for each route and kind of request.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import positive_data_acceptance

from embedding_service.web.app import create_app
from fakes.simulated_server import simulated_web
from fakes.web import in_thread, web_with

EXAMPLES = int(os.environ.get("SLUICE_FUZZ_EXAMPLES", "40"))

document = schemathesis.openapi.from_dict(
    create_app(web_with().serving).openapi(),
    config=schemathesis.config.SchemathesisConfig.from_dict(
        # A header or query word that no document knows is no fault: proxies add them.
        {
            "generation": {"mode": "all", "allow-extra-parameters": False},
            # A deadline may be over before the work begins: 504 is what was asked for.
            "checks": {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "504"]}},
        }
    ),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("images")
    # Made-up URLs are refused, not fetched: the test stays on this machine.
    with (
        simulated_web(
            model="ViT-B-32", fetch_urls="none", max_request_bytes=1_000_000, image_folder=folder
        ) as (
            _,
            web,
        ),
        in_thread(web) as address,
    ):
        yield address


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between this machine and itself
        yield session


@document.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_asked_the_answer_is_in_the_document(
    case: schemathesis.Case[Any], address: str, session: requests.Session
) -> None:
    # A request that obeys the document may still be refused: not every bytes are an image.
    excluded: list[CheckFunction] = [positive_data_acceptance]
    case.call_and_validate(base_url=address, session=session, timeout=10, excluded_checks=excluded)
