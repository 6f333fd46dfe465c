"""Real nodes, scraped by a real Prometheus with the rules that operators get; the story is in `inside_watching`."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [
    pytest.mark.needs("bird", "promtool", "amtool"),
    pytest.mark.timeout(360),
    pytest.mark.parametrize(
        "caller", ["root" if os.geteuid() == 0 else "user"], indirect=True, scope="module"
    ),
]


def test_every_expression_is_answered_and_a_dark_site_is_told_to_who_is_on_call(caller: Any) -> None:
    found = caller.inside("watched", module="inside_watching", patience_s=330)
    assert found["unanswered"] == []
    # With everybody there, and alerts given time to fire, none does but those that always do in a lab.
    assert found["firing"] == ["EdgeCertificateExpires", "EdgeWatchdog"]
    assert 'site="t1"} => 1 ' in found["announcing"]
    assert 'site="t2"} => 2 ' in found["announcing"]

    assert {to for to, _ in found["fired"]} == {"/on-call"}
    _, alert = found["fired"][0]
    assert alert["labels"] == {"alertname": "EdgeSiteDark", "severity": "critical", "site": "t1"}
    assert alert["annotations"] == {
        "summary": "Site t1 is dark",
        "description": "Of the 1 nodes of t1 none announces, and no operator has asked for that.",
        "runbook_url": "docs/runbooks/site-dark.md",
    }
    assert {to for to, _ in found["resolved"]} == {"/on-call"}
