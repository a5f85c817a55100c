"""The page on the diagnosis says what the code does."""

import re
from pathlib import Path
from typing import get_args

from embedding_contract import bottleneck
from embedding_contract.bottleneck import Bottleneck

PAGE = Path(__file__).parents[2] / "docs/concepts/diagnosis.md"


def test_the_table_has_every_threshold() -> None:
    rows = re.findall(r"\| `(\w+)` \|[^|]*\| ([0-9.]+) \|", PAGE.read_text())
    layers = {verdict: limit for _, verdict, limit in (*bottleneck.HARDWARE, *bottleneck.POOLS)}
    expected = layers | {
        "MemoryBound": bottleneck.MEMORY_FULL,
        "AdmissionLimited": bottleneck.PERMITS_FULL,
    }
    assert {verdict: float(limit) for verdict, limit in rows} == expected


def test_every_class_is_explained() -> None:
    assert set(re.findall(r"`(\w+)`", PAGE.read_text())) >= set(get_args(Bottleneck))
