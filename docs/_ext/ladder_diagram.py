"""The states of the policy as a drawing, made from its table: every row of the table is an arrow with its number."""

from typing import Final

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from state_diagram import Arrow, Ends, Layout, Rise, draw

from bgp.ladder import TRANSITIONS, Row
from bgp.state import ANNOUNCING, State

_MIDDLE: Final = 516

# A higher arrow begins and lands further out. Nothing else begins at the outermost state, so there it takes the middle.
LAYOUT: Final = Layout(
    title="States and transitions of the policy",
    width=820,
    height=372,
    places={
        "STARTING": (72, 172),
        "ANNOUNCED": (284, 172),
        "DEPREFERRED": (516, 172),
        "WITHDRAWN": (748, 172),
        "FENCED": (516, 342),
        "HELD": (72, 342),
    },
    any=("any other", (284, 342)),
    rises={
        ("ANNOUNCED", "WITHDRAWN"): Rise(44, _MIDDLE, begins=15, lands=-15),
        ("WITHDRAWN", "ANNOUNCED"): Rise(90, _MIDDLE),
        ("STARTING", "WITHDRAWN"): Rise(136, _MIDDLE, lands=15),
    },
    labels_at={
        ("ANNOUNCED", "FENCED"): 0.36,
        ("FENCED", "ANNOUNCED"): 0.36,
        ("WITHDRAWN", "FENCED"): 0.36,
        ("FENCED", "WITHDRAWN"): 0.36,
    },
    strong=frozenset(state.name for state in ANNOUNCING),
)


def arrows() -> list[Arrow]:
    """One for all rows between the same two states."""
    rows: dict[Ends, list[tuple[int, Row]]] = {}
    for number, row in enumerate(TRANSITIONS, 1):
        everywhere = len(row.sources) == len(State) - 1
        sources = [None] if everywhere else sorted(state.name for state in row.sources)
        for source in sources:
            rows.setdefault((source, row.target.name), []).append((number, row))
    return [_arrow(ends, found) for ends, found in rows.items()]


def _arrow(ends: Ends, rows: list[tuple[int, Row]]) -> Arrow:
    source, target = ends
    at_once = target in (State.FENCED.name, State.HELD.name)
    for_load = any(row.voluntary for _, row in rows)
    return Arrow(
        source,
        target,
        [(number, row.trigger.name) for number, row in rows],
        kind="red" if at_once else "blue" if for_load else "plain",
        seldom=all(row.deprefer is False for _, row in rows),
    )


class LadderDiagram(Directive):
    """Takes no argument."""

    def run(self) -> list[nodes.Node]:
        return [draw(LAYOUT, arrows())]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("ladder-diagram", LadderDiagram)
    return {"parallel_read_safe": True}
