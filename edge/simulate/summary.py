"""The report in one line a policy, for people. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from edge.simulate.outcome import Outcome


class Column(NamedTuple):
    name: str
    meaning: str
    cell: Callable[[Outcome], str]


def span(seconds: float) -> str:
    """As short as it may be: "0", "45 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:g} s" if seconds else "0"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


COLUMNS: Final = (
    Column("policy", "which rules the nodes followed", lambda o: o.policy),
    Column(
        "dropped", "of all callers, those who never got through", lambda o: f"{o.calls.dropped_ratio:.1%}"
    ),
    Column("dark", "how long nobody announced", lambda o: span(o.dark.service_s)),
    Column(
        "away", "of the calls carried, those not at their first choice", lambda o: f"{o.calls.away_ratio:.1%}"
    ),
    Column("updates", "changes of routes that the world heard", lambda o: f"{o.routing.updates:,}"),
    Column("worst node", "of these, those of the worst node", lambda o: f"{o.routing.worst_updates:,}"),
    Column(
        "suppressed",
        "nodes whose route was suppressed by routers at any time",
        lambda o: f"{o.routing.suppressed_nodes:,}",
    ),
    Column(
        "suppressed for", "their time of suppression, added up", lambda o: span(o.routing.suppressed_h * 3600)
    ),
    Column("peak", "highest pressure of any node; 1 is full", lambda o: f"{o.load.peak_pressure:.2f}"),
    Column(
        "overloaded",
        "time above the high threshold, added up over nodes",
        lambda o: span(o.load.overloaded_h * 3600),
    ),
    Column("cut", "calls that ended with their node", lambda o: f"{o.calls.cut:,.0f}"),
)


def row(outcome: Outcome) -> list[str]:
    return [column.cell(outcome) for column in COLUMNS]
