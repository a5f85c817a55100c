"""The acknowledgement of a pod survives the wire, and nothing else passes for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_contract.report import TuningReport, parse_report, report_to_mapping
from embedding_contract.tuning import Setting

REPORT = TuningReport("clip-a", 3, Setting(4, 8, 2, "cpu"), Setting(4, 8), 12.5)


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        TuningReport("clip-a", None, Setting(1, 4, 2, "cpu"), Setting(1, 4), 0.0, "bad file"),
    ],
    ids=["applied", "before-the-first-file"],
)
def test_a_report_survives_the_wire(report: TuningReport) -> None:
    assert parse_report(json.loads(json.dumps(report_to_mapping(report)))) == report


def test_what_a_server_adds_to_its_report_is_no_fault() -> None:
    document = report_to_mapping(REPORT) | {"activity": {"bottleneck": "CPUBound"}, "new": [1]}
    assert parse_report(document) == REPORT


@pytest.mark.parametrize("field", ["setting", "requested", "since"])
def test_a_report_without_a_part_is_not_a_report(field: str) -> None:
    document = report_to_mapping(REPORT)
    del document[field]
    with pytest.raises(ValueError, match=field):
        parse_report(document)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_another_servers_answer_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_report(document)
