"""The report's promise: what was not measured fails, and an empty report is no pass."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.lab.picture import page
from edge.lab.report import Check, LabReport, Rule


@pytest.mark.parametrize(
    "value, limit, rule, passed",
    [
        (0.0, 0.0, "equals", True),
        (1.0, 0.0, "equals", False),
        (-1.0, 0.0, "equals", False),
        (5.0, 5.0, "at_most", True),
        (5.1, 5.0, "at_most", False),
        (5.0, 5.0, "at_least", True),
        (4.9, 5.0, "at_least", False),
        (None, 0.0, "equals", False),
        (None, 1e9, "at_most", False),
        (None, 0.0, "at_least", False),
    ],
)
def test_a_check_is_held_against_its_limit(
    value: float | None, limit: float, rule: Rule, passed: bool
) -> None:
    assert Check("name", value, limit, "unit", rule).passed is passed


def test_a_report_passes_only_with_checks_that_all_pass() -> None:
    good, bad = Check("good", 1, 1, "x"), Check("bad", None, 1, "x")
    assert not LabReport("s", 0).passed
    assert LabReport("s", 0, [good]).passed
    assert not LabReport("s", 0, [good, bad]).passed


def test_the_document_is_written_as_published(tmp_path: Path) -> None:
    report = LabReport("overload", 7, [Check("calls_lost", 0, 0, "calls")], [{"t": 0.0, "kind": "event"}])
    report.write(tmp_path / "report.json")
    document = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    assert document == {
        "apiVersion": "edge/v1",
        "kind": "LabReport",
        "scenario": "overload",
        "seed": 7,
        "passed": True,
        "checks": [
            {"name": "calls_lost", "passed": True, "value": 0, "limit": 0, "unit": "calls", "rule": "equals"}
        ],
        "timeline": [{"t": 0.0, "kind": "event"}],
    }


def test_the_page_escapes_what_it_did_not_write() -> None:
    event = {"kind": "event", "t": 1.0, "event": "<script>alert(1)</script>", "mark": True}
    text = page(LabReport("<b>", 0, [Check("<i>", None, 1, "<u>")], [event]), None)
    assert "<script>" not in text
    assert "<i>" not in text
    assert "not measured" in text
