"""The states of the policy as a drawing, made from its table: every row of the table is an arrow with its number.

Only the layout is here: where each state stands, and which way round an arrow goes. An arrow that the layout does
not know goes straight, so a new row shows without being asked; a new state is an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import hypot
from typing import Final

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from bgp.ladder import TRANSITIONS, Row
from bgp.state import ANNOUNCING, State

Point = tuple[float, float]

WIDTH: Final = 820
HEIGHT: Final = 372
BOX_WIDTH: Final = 124
BOX_HEIGHT: Final = 42
APART: Final = 9
"""How far an arrow keeps from the line between two states where another one comes back beside it."""

PLACES: Final[dict[State, Point]] = {
    State.STARTING: (72, 172),
    State.ANNOUNCED: (284, 172),
    State.DEPREFERRED: (516, 172),
    State.WITHDRAWN: (748, 172),
    State.FENCED: (516, 342),
    State.HELD: (72, 342),
}
ANY: Final[Point] = (284, 342)
"""Stands for the sources of a row that starts nearly everywhere."""

RISES: Final[dict[tuple[State, State], float]] = {
    (State.ANNOUNCED, State.WITHDRAWN): 44,
    (State.WITHDRAWN, State.ANNOUNCED): 90,
    (State.STARTING, State.WITHDRAWN): 136,
}
"""Arrows that go over the states in between, and how far above them they turn."""

HIGHEST_INSIDE: Final = 90
CORNER: Final = 14

LABELS_AT: Final[dict[tuple[State, State], float]] = {
    (State.ANNOUNCED, State.FENCED): 0.36,
    (State.FENCED, State.ANNOUNCED): 0.36,
    (State.WITHDRAWN, State.FENCED): 0.36,
    (State.FENCED, State.WITHDRAWN): 0.36,
}
"""Where on the arrow its label is, if not in the middle."""

STYLE: Final = """
.ladder { max-width: 100%; height: auto; font: 13px var(--font-stack, sans-serif); }
.ladder rect { fill: var(--color-background-secondary, #f8f9fb); stroke: var(--color-foreground-muted, #6b6f76); }
.ladder .heard rect { fill: var(--color-brand-primary, #0a4bff); stroke: none; }
.ladder text { fill: var(--color-foreground-primary, #000); text-anchor: middle; }
.ladder .heard text { fill: var(--color-background-primary, #fff); }
.ladder .any rect { fill: none; stroke-dasharray: 4 3; }
.ladder .state text { font-weight: 600; letter-spacing: 0.04em; }
.ladder .any text { font-weight: 400; letter-spacing: 0; }
.ladder path { fill: none; stroke-width: 1.6; stroke: var(--color-foreground-secondary, #5a5c63); }
.ladder .label { font-size: 12px; paint-order: stroke; stroke-width: 8px; stroke-linejoin: round;
  stroke: var(--color-background-primary, #fff); }
.ladder .label tspan { font-weight: 700; }
.ladder marker path { stroke: none; fill: var(--color-foreground-secondary, #5a5c63); }
.ladder .load path { stroke: var(--color-brand-content, #2757dd); }
.ladder marker.load path { fill: var(--color-brand-content, #2757dd); }
.ladder .urgent path { stroke: #c43d3d; }
.ladder marker.urgent path { fill: #c43d3d; }
.ladder .seldom path { stroke-dasharray: 5 4; }
"""


@dataclass(frozen=True)
class Arrow:
    """All rows between the same two states. ``source`` is None for a row from nearly everywhere."""

    source: State | None
    target: State
    rows: tuple[tuple[int, Row], ...]

    @property
    def kind(self) -> str:
        if self.target in (State.FENCED, State.HELD):
            return "urgent"
        return "load" if any(row.voluntary for _, row in self.rows) else "other"

    @property
    def ends(self) -> tuple[State | None, State]:
        return self.source, self.target


def arrows() -> list[Arrow]:
    rows: dict[tuple[State | None, State], list[tuple[int, Row]]] = {}
    for number, row in enumerate(TRANSITIONS, 1):
        everywhere = len(row.sources) == len(State) - 1
        for source in [None] if everywhere else sorted(row.sources, key=lambda state: state.value):
            rows.setdefault((source, row.target), []).append((number, row))
    return [Arrow(source, target, tuple(found)) for (source, target), found in rows.items()]


def svg() -> str:
    parts = [
        f'<svg class="ladder" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        "<title>States and transitions of the policy</title>",
        f"<style>{STYLE}</style>",
        "<defs>",
        *(
            f'<marker id="ladder-{kind}" class="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
            ' markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z"/></marker>'
            for kind in ("load", "urgent", "other")
        ),
        "</defs>",
        *_drawn(arrows()),
        *(_box(state.name, place, "heard" if state in ANNOUNCING else "") for state, place in PLACES.items()),
        _box("any other", ANY, "any"),
        "</svg>",
    ]
    return "\n".join(parts)


def _drawn(every: list[Arrow]) -> Iterator[str]:
    """Lines first, so that no line crosses a label."""
    labels = []
    straight = {arrow.ends for arrow in every if arrow.ends not in RISES}
    for arrow in every:
        if arrow.ends in RISES:
            path, label_at = _over(arrow)
        else:
            path, label_at = _straight(arrow, APART if (arrow.target, arrow.source) in straight else 0)
        seldom = " seldom" if all(row.deprefer is False for _, row in arrow.rows) else ""
        yield f'<g class="{arrow.kind}{seldom}"><path d="{path}" marker-end="url(#ladder-{arrow.kind})"/></g>'
        labels.append(_label(arrow, label_at))
    yield from labels


def _straight(arrow: Arrow, apart: float) -> tuple[str, Point]:
    """From border to border, ``apart`` to the left of the line between the middles."""
    (x1, y1), (x2, y2) = ANY if arrow.source is None else PLACES[arrow.source], PLACES[arrow.target]
    length = hypot(x2 - x1, y2 - y1)
    left_x, left_y = (y2 - y1) / length, -(x2 - x1) / length
    aside_x, aside_y = apart * left_x, apart * left_y
    start = _border((x1 + aside_x, y1 + aside_y), (x2 + aside_x, y2 + aside_y), (x1, y1))
    end = _border((x2 + aside_x, y2 + aside_y), (x1 + aside_x, y1 + aside_y), (x2, y2))
    share = LABELS_AT.get(arrow.ends, 0.5) if arrow.source is not None else 0.5
    x, y = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
    level = abs(y2 - y1) < 1
    return (
        f"M{start[0]:.1f} {start[1]:.1f} L{end[0]:.1f} {end[1]:.1f}",
        (x, y + (-9 if left_y < 0 or not apart else 18)) if level else (x + 2.4 * aside_x, y + 4),
    )


def _border(outside_of: Point, towards: Point, middle: Point) -> Point:
    """Where the line from ``outside_of``, inside the box around ``middle``, leaves that box."""
    dx, dy = towards[0] - outside_of[0], towards[1] - outside_of[1]
    shares = []
    for start, step, centre, half in (
        (outside_of[0], dx, middle[0], BOX_WIDTH / 2),
        (outside_of[1], dy, middle[1], BOX_HEIGHT / 2),
    ):
        if step:
            shares.append((centre + (half if step > 0 else -half) - start) / step)
    share = min(shares)
    return outside_of[0] + share * dx, outside_of[1] + share * dy


def _over(arrow: Arrow) -> tuple[str, Point]:
    """Up, across, and down again with round corners; a higher arrow begins and lands further out."""
    assert arrow.source is not None
    (x1, level), (x2, _) = PLACES[arrow.source], PLACES[arrow.target]
    rise = RISES[arrow.ends]
    onwards = 1 if x2 > x1 else -1
    inwards = (HIGHEST_INSIDE - rise) / 3 * onwards
    # Nothing else begins at the outermost state, so there the arrow takes the middle.
    x1, x2 = x1 if arrow.source is State.STARTING else x1 + inwards, x2 - inwards
    base = level - BOX_HEIGHT / 2
    top, corner = base - rise, CORNER * onwards
    path = (
        f"M{x1} {base} V{top + CORNER} Q{x1} {top} {x1 + corner} {top}"
        f" H{x2 - corner} Q{x2} {top} {x2} {top + CORNER} V{base}"
    )
    return path, ((PLACES[State.ANNOUNCED][0] + PLACES[State.WITHDRAWN][0]) / 2, top + 4)


def _label(arrow: Arrow, at: Point) -> str:
    names = " · ".join(f"<tspan>{number}</tspan> {escape(row.trigger.name)}" for number, row in arrow.rows)
    return f'<text class="label" x="{at[0]:.1f}" y="{at[1]:.1f}">{names}</text>'


def _box(name: str, middle: Point, kind: str) -> str:
    x, y = middle
    return (
        f'<g class="state {kind}"><rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}"'
        f' height="{BOX_HEIGHT}" rx="7"/><text x="{x}" y="{y + 4.5}">{name}</text></g>'
    )


class LadderDiagram(Directive):
    """Takes no argument."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", svg(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("ladder-diagram", LadderDiagram)
    return {"parallel_read_safe": True}
