"""Questions to the local Prometheus."""

import httpx
from sluice_local.addresses import PROMETHEUS_URL


def value(query: str) -> dict[str, float]:
    """Ask for the current value of a query, by pod."""
    answer = httpx.get(
        f"{PROMETHEUS_URL}/api/v1/query", params={"query": query}, timeout=10, trust_env=False
    )
    answer.raise_for_status()
    rows = answer.json()["data"]["result"]
    return {row["metric"].get("pod", ""): float(row["value"][1]) for row in rows}
