"""The state file: read back whole, or counted as a crashed run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sluice_local.process import ProcessIdentity
from sluice_local.record import Record, parse_record, read_record, write_record

RECORD = Record(ProcessIdentity(41, 12345, "boot"), {"helm": "helm-0"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "state.json", RECORD)
    assert read_record(tmp_path / "state.json") == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_no_file_is_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "state.json") is None


@given(st.text() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps))
def test_garbage_is_no_record(text: str) -> None:
    assert parse_record(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"holder": None},
        {"holder": {"pid": "41", "start_ticks": 1, "boot": "b"}},
        {"holder": {"pid": True, "start_ticks": 1, "boot": "b"}},
        {"holder": {"pid": 1, "start_ticks": 1, "boot": "b"}},
        {"holder": {"pid": 41, "boot": "b"}},
        {"binaries": []},
    ],
)
def test_a_record_with_a_wrong_part_is_none(change: dict[str, object]) -> None:
    raw = json.loads(RECORD.to_text())
    assert parse_record(json.dumps({**raw, **change})) is None


def test_half_a_file_is_no_record() -> None:
    text = RECORD.to_text()
    assert parse_record(text[: len(text) // 2]) is None
