"""Rules and dashboards against the metrics that nodes declare, and against each other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.monitoring.answers import drawn, operands
from edge.monitoring.boards import BOARDS
from edge.monitoring.export import DASHBOARDS, DEFAULT_RUNBOOKS, RULES, packaged
from edge.monitoring.promql import of
from edge.monitoring.rules import ALERTS, GROUPS, RECORDS, rules_file
from edge.runtime import metric_table as metric

ROOT = Path(__file__).resolve().parents[3]
SERVED = {
    f"{one.name}{part}"
    for one in metric.METRICS
    for part in (("_bucket", "_count", "_sum") if isinstance(one, metric.Histogram) else ("",))
}
KNOWN = SERVED | {record.name for record in RECORDS} | {"up", "ALERTS"}


def names(expr: str) -> set[str]:
    return {selector.partition("{")[0] for selector in operands(expr)}


@pytest.mark.parametrize("expr", [*(one.expr for one in (*RECORDS, *ALERTS)), *drawn()])
def test_every_name_in_an_expression_is_served_or_recorded(expr: str) -> None:
    assert names(expr) or expr == "vector(1)"
    assert names(expr) <= KNOWN


def test_every_recorded_series_is_of_use() -> None:
    used = set().union(*(names(expr) for expr in (*(one.expr for one in (*RECORDS, *ALERTS)), *drawn())))
    assert {record.name for record in RECORDS} - used - long_windows() == set()


def test_everything_that_a_node_declares_is_on_a_dashboard() -> None:
    """By its own name, or in a recorded series that is drawn."""
    recorded = {record.name: names(record.expr) for record in RECORDS}
    found: set[str] = set()
    new = set().union(*map(names, drawn()))
    while new:
        found |= new
        new = set().union(*(recorded.get(name, set()) for name in new)) - found
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in found} | found
    assert {one.name for one in metric.METRICS} - bases == set()


def long_windows() -> set[str]:
    """Nobody draws these; alerts look at them, which is seen above, but for those that a window of another pair is."""
    return {record.name for record in RECORDS if re.search(r"rate(1h|6h)$", record.name)}


def test_a_metric_that_is_not_declared_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no label 'reason'"):
        of(metric.CALLS, reason="moon")
    with pytest.raises(ValueError, match="carrier='moon' is none of quic"):
        of(metric.CALLS, carrier=("quic", "moon"))
    with pytest.raises(ValueError, match=r"le='0\.04'"):
        of(metric.TURN_PLAYED, "bucket", le="0.04")
    with pytest.raises(ValueError, match="a histogram"):
        of(metric.TURN_PLAYED)


def test_a_selector_says_what_it_was_asked_for() -> None:
    assert of(metric.CALLS, carrier=("quic", "websocket")) == 'edge_calls{carrier=~"quic|websocket"}'
    assert of(metric.TURN_PLAYED, "bucket", le="1.5") == 'edge_turn_played_seconds_bucket{le="1.5"}'
    assert of(metric.CALLS) == "edge_calls"


def test_operands_are_found_and_functions_and_labels_are_not() -> None:
    expr = 'sum by (site) (rate(edge_calls{a="edge_b"}[5m])) / site:edge_x:ratio_rate5m and on (node) up{job="edge"}'
    assert operands(expr) == ['edge_calls{a="edge_b"}', "site:edge_x:ratio_rate5m", 'up{job="edge"}']


def test_names_of_rules_say_what_they_are() -> None:
    for record in RECORDS:
        assert re.fullmatch(r"(node|site|fleet|prefix):edge_[a-z_]+:[a-z0-9_]+", record.name)
    for alert in ALERTS:
        assert re.fullmatch(r"Edge([A-Z][a-z]+)+", alert.name)
        assert alert.because
        assert "{{" in alert.summary + alert.description or alert.name in ("EdgeWatchdog", "EdgeNoTargets")
    assert len({(alert.name, alert.severity) for alert in ALERTS}) == len(ALERTS)
    assert len({group.name for group in GROUPS}) == len(GROUPS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_alert_has_a_runbook_and_its_link_leads_there(alert: object) -> None:
    page = ROOT / DEFAULT_RUNBOOKS.format(page=alert.page)  # type: ignore[attr-defined]
    text = page.read_text()
    assert text.startswith(f"# {alert.name}\n")  # type: ignore[attr-defined]
    for heading in (
        "## What it means",
        "## Who hears it",
        "## Look here first",
        "## What to do",
        "## It is over when",
    ):
        assert text.count(f"\n{heading}\n") == 1, heading


def test_every_runbook_is_of_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"index"}
    assert pages == {alert.page for alert in ALERTS}


def test_what_is_committed_is_what_the_tables_say() -> None:
    """After a change of the tables: python -m edge.monitoring.grafana"""
    assert packaged(RULES) == rules_file(DEFAULT_RUNBOOKS)
    assert set(drawn_in_tables()) == set(drawn_in_files())


def drawn_in_tables() -> list[str]:
    return [
        query.expr
        for board in BOARDS
        for row in board.rows
        for panel in row.panels
        for query in panel.queries
    ]


def drawn_in_files() -> list[str]:
    return [
        target["expr"]
        for name in DASHBOARDS
        for panel in json.loads(packaged(name))["panels"]
        for target in panel.get("targets", ())
    ]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_dashboards_are_those_that_grafanas_library_makes(board: object) -> None:
    grafana = pytest.importorskip(
        "edge.monitoring.grafana", reason="needs the extra 'dashboards'", exc_type=ImportError
    )
    assert packaged(f"{board.uid}.json") == grafana.rendered(board)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_can_tell_everything_on_a_dashboard_apart(name: str) -> None:
    document = json.loads(packaged(name))
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in document["panels"]:
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(letters)) == len(letters)
        assert all(target["datasource"]["uid"] == "$datasource" for target in panel.get("targets", ()))
        assert panel["type"] == "row" or panel["description"]
    chosen = {variable["name"] for variable in document["templating"]["list"]}
    wanted = set(re.findall(r"\$([a-z]+)", json.dumps(document["panels"])))
    assert wanted <= chosen
    assert document["uid"] == name.removesuffix(".json")


def test_links_lead_to_whatever_place_the_runbooks_are_at() -> None:
    assert 'runbook_url: "https://docs.example/runbooks/site-dark.html"' in rules_file(
        "https://docs.example/runbooks/"
    )
    assert 'runbook_url: "https://git.example/site-dark.md?raw"' in rules_file(
        "https://git.example/{page}.md?raw"
    )
