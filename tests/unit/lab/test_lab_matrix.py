"""The failure matrix as a table: rows that can be told apart, verdicts in the unit of their limit, faults that name rows."""

from __future__ import annotations

import pytest

from edge.lab.birdc import parse_filtered
from edge.lab.parts import Role
from edge.lab.picture import page
from edge.lab.report import LabReport, Rule
from edge.lab.scenarios.matrix import EVERY_EDGE, ROWS, Row
from edge.lab.scenarios.matrix_faults import LACKS
from edge.lab.scenarios.stage import Stage
from edge.lab.topologies import matrix_topology


async def _nothing(_: Stage) -> float | None:
    return None


def row(unit: str, limit: float, rule: Rule) -> Row:
    return Row("row", limit, unit, rule, (), _nothing)


@pytest.mark.parametrize(
    "unit, limit, rule, found, value, passed",
    [
        ("ms", 250, "at_most", 0.25, 250.0, True),
        ("ms", 250, "at_most", 0.2512, 251.2, False),
        ("s", 0.5, "at_most", 0.253, 0.253, True),
        ("exit code", 6, "equals", 6.0, 6.0, True),
        ("ms", 250, "at_most", None, None, False),
        ("routes", 0, "equals", None, None, False),
    ],
)
def test_what_a_story_found_is_judged_in_the_unit_of_its_row(
    unit: str, limit: float, rule: Rule, found: float | None, value: float | None, passed: bool
) -> None:
    check = row(unit, limit, rule).check(found)
    assert (check.value, check.passed) == (value, passed)


def test_every_row_has_a_name_of_its_own_and_edges_that_exist() -> None:
    assert len({one.name for one in ROWS}) == len(ROWS) == 15
    assert matrix_topology().names(Role.EDGE) == EVERY_EDGE
    assert all(one.edges and set(one.edges) <= set(EVERY_EDGE) for one in ROWS)


def test_every_fault_has_rows_that_it_fails() -> None:
    names = {one.name for one in ROWS}
    assert all(lack.rows and set(lack.rows) <= names for lack in LACKS.values())


def test_routes_that_a_router_refused_are_counted() -> None:
    lines = [
        "e1_v4      BGP        ---        up     07:37:10.000  Established",
        "    Routes:         1 imported, 0 exported, 1 preferred",
        "    Route change stats:     received   rejected   filtered    ignored   accepted",
        "      Import updates:              3          0          2          0          1",
        "      Export updates:              5          1          4        ---          0",
    ]
    assert sum(map(parse_filtered, lines)) == 2


def test_rows_are_drawn_with_their_verdict() -> None:
    sample = {"kind": "sample", "t": 9.0, "nodes": {}, "calls": {}, "fib": {}}
    rows = [
        {"kind": "row", "t": 1.0, "until": 2.0, "name": "early & well", "passed": True},
        {"kind": "row", "t": 7.0, "until": 8.0, "name": "late", "passed": False},
    ]
    drawn = page(LabReport("s", 0, [], [*rows, sample]), None)
    assert drawn.count("<title>early &amp; well</title>") == 1
    assert 'fill="#aceebb"><title>early' in drawn
    assert 'fill="#ff8182"><title>late' in drawn
