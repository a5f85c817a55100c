"""Prometheus' configuration: what is scraped, and which labels the operator can rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PATH = Path(__file__).parents[3] / "k8s" / "local" / "prometheus.yaml"


@pytest.fixture
def job() -> dict[str, Any]:
    config = yaml.safe_load(PATH.read_text())
    (found,) = config["scrape_configs"]
    return dict(found)


def test_the_kubeconfig_is_named_relative_to_where_up_puts_the_file(job: dict[str, Any]) -> None:
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery == {"role": "pod", "kubeconfig_file": "../pki/admin.kubeconfig"}


def test_series_carry_namespace_pod_and_the_products_labels(job: dict[str, Any]) -> None:
    targets = {rule.get("target_label") for rule in job["relabel_configs"]}
    assert {
        "namespace",
        "pod",
        "app_kubernetes_io_instance",
        "sluice_dev_service",
        "sluice_dev_pool",
    } <= targets


def test_only_running_pods_that_ask_are_scraped(job: dict[str, Any]) -> None:
    kept = [rule for rule in job["relabel_configs"] if rule.get("action") == "keep"]
    assert [rule["regex"] for rule in kept] == ["true", "Running"]
