"""The catalogue asks only for what the contract promises, one window at a time."""

import re

import pytest

from embedding_contract import metrics as contract
from embedding_operator.tuning.queries import QUERIES, REQUIRED, Query

KNOWN = {metric.name: metric for metric in contract.ALL}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_names_a_metric_of_the_contract(query: Query) -> None:
    family = re.sub(r"_(sum|count|bucket)$", "", query.metric)
    assert query.metric in KNOWN or KNOWN[family].kind == "histogram"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_keeps_only_labels_that_the_metric_has(query: Query) -> None:
    family = re.sub(r"_(sum|count|bucket)$", "", query.metric)
    metric = KNOWN.get(query.metric) or KNOWN[family]
    assert query.label in {"", "le", *metric.labels}


def test_the_text_names_pods_namespace_and_window() -> None:
    query = next(query for query in QUERIES if query.name == "images")
    assert query.text("team-a", ["clip-1", "clip.2"], 6.5) == (
        "sum by (pod, outcome) (rate(embedding_images_total"
        '{namespace="team-a",pod=~"clip-1|clip\\\\.2"}[6500ms]))'
    )


def test_names_are_unique_and_a_gpu_is_never_required() -> None:
    assert len({query.name for query in QUERIES}) == len(QUERIES)
    optional = {metric.name for metric in contract.GPU_ONLY}
    assert not [query for query in QUERIES if query.name in REQUIRED and query.metric in optional]
