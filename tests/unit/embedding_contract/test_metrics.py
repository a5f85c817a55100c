"""Metric names follow Prometheus' rules, because dashboards outlive code."""

import re

import pytest

from embedding_contract import metrics


@pytest.mark.parametrize("metric", metrics.ALL, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_the_field_names_them(metric: metrics.Metric) -> None:
    assert re.fullmatch(r"embedding_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert metric.help.endswith(".")
    if metric.unit in {"seconds", "bytes", "ratio", "cores"}:
        assert metric.unit in metric.name


def test_no_name_is_given_twice() -> None:
    names = [metric.name for metric in metrics.ALL]
    assert len(names) == len(set(names)) > 30


def test_no_label_can_grow_without_bound() -> None:
    allowed = {"outcome", "stage", "batch", "device", "reason", "version", "model", "precision"}
    assert {label for metric in metrics.ALL for label in metric.labels} <= allowed
