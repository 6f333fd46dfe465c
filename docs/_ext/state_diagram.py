"""Draws the states of a transition table: boxes where a layout puts them, and an arrow for each pair of states.

An arrow that the layout does not know goes straight, so a new row of a table shows without being asked; a new state
is an error.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import hypot
from typing import Final, Literal

from docutils import nodes

Point = tuple[float, float]
Ends = tuple[str | None, str]

BOX_WIDTH: Final = 124
BOX_HEIGHT: Final = 42
APART: Final = 9
"""How far an arrow keeps from the line between two states where another one comes back beside it."""
CORNER: Final = 14

STYLE: Final = """
.states { max-width: 100%; height: auto; font: 13px var(--font-stack, sans-serif); }
.states rect { fill: var(--color-background-secondary, #f8f9fb); stroke: var(--color-foreground-muted, #6b6f76); }
.states .strong rect { fill: var(--color-brand-primary, #0a4bff); stroke: none; }
.states text { fill: var(--color-foreground-primary, #000); text-anchor: middle; }
.states .strong text { fill: var(--color-background-primary, #fff); }
.states .any rect { fill: none; stroke-dasharray: 4 3; }
.states .state text { font-weight: 600; letter-spacing: 0.04em; }
.states .any text { font-weight: 400; letter-spacing: 0; }
.states path { fill: none; stroke-width: 1.6; stroke: var(--color-foreground-secondary, #5a5c63); }
.states .label { font-size: 12px; paint-order: stroke; stroke-width: 8px; stroke-linejoin: round;
  stroke: var(--color-background-primary, #fff); }
.states .label tspan { font-weight: 700; }
.states marker path { stroke: none; fill: var(--color-foreground-secondary, #5a5c63); }
.states .blue path { stroke: var(--color-brand-content, #2757dd); }
.states marker.blue path { fill: var(--color-brand-content, #2757dd); }
.states .red path { stroke: #c43d3d; }
.states marker.red path { fill: #c43d3d; }
.states .seldom path { stroke-dasharray: 5 4; }
"""


@dataclass(frozen=True)
class Arrow:
    """All rows between the same two states: their numbers and names. ``source`` None is the layout's `Layout.any`."""

    source: str | None
    target: str
    rows: Sequence[tuple[int, str]]
    kind: Literal["blue", "red", "plain"] = "plain"
    seldom: bool = False

    @property
    def ends(self) -> Ends:
        return self.source, self.target


@dataclass(frozen=True)
class Rise:
    """An arrow that goes over the states in between and turns ``height`` above them.

    It begins and lands this far right of the middles; its label is at ``label_x``.
    """

    height: float
    label_x: float
    begins: float = 0
    lands: float = 0


@dataclass(frozen=True)
class Layout:
    """``any`` is the box that stands for the sources of a row that starts nearly everywhere: its text and place.

    ``labels_at`` says where on an arrow its label is, if not in the middle.
    """

    title: str
    width: int
    height: int
    places: Mapping[str, Point]
    any: tuple[str, Point]
    rises: Mapping[Ends, Rise]
    labels_at: Mapping[Ends, float] = field(default_factory=dict)
    strong: frozenset[str] = frozenset()

    def place(self, state: str | None) -> Point:
        return self.any[1] if state is None else self.places[state]


def draw(layout: Layout, arrows: Iterable[Arrow]) -> nodes.raw:
    """The drawing as a node of a document."""
    return nodes.raw("", svg(layout, arrows), format="html")


def svg(layout: Layout, arrows: Iterable[Arrow]) -> str:
    box = f"0 0 {layout.width} {layout.height}"
    parts = [
        f'<svg class="states" viewBox="{box}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(layout.title)}</title>",
        f"<style>{STYLE}</style>",
        "<defs>",
        *(
            f'<marker id="arrow-{kind}" class="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
            ' markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z"/></marker>'
            for kind in ("blue", "red", "plain")
        ),
        "</defs>",
        *_drawn(layout, list(arrows)),
        *(
            _box(state, place, "strong" if state in layout.strong else "")
            for state, place in layout.places.items()
        ),
        _box(*layout.any, "any"),
        "</svg>",
    ]
    return "\n".join(parts)


def _drawn(layout: Layout, arrows: Sequence[Arrow]) -> Iterator[str]:
    """Lines first, so that no line crosses a label."""
    labels = []
    straight = {arrow.ends for arrow in arrows if arrow.ends not in layout.rises}
    for arrow in arrows:
        if arrow.ends in layout.rises:
            path, label_at = _over(layout, arrow)
        else:
            path, label_at = _straight(
                layout, arrow, APART if (arrow.target, arrow.source) in straight else 0
            )
        seldom = " seldom" if arrow.seldom else ""
        yield (
            f'<g class="{arrow.kind}{seldom}"><path d="{path}" marker-end="url(#arrow-{arrow.kind})"/></g>'
        )
        labels.append(_label(arrow, label_at))
    yield from labels


def _straight(layout: Layout, arrow: Arrow, apart: float) -> tuple[str, Point]:
    """From border to border, ``apart`` to the left of the line between the middles."""
    (x1, y1), (x2, y2) = layout.place(arrow.source), layout.place(arrow.target)
    length = hypot(x2 - x1, y2 - y1)
    left_x, left_y = (y2 - y1) / length, -(x2 - x1) / length
    aside_x, aside_y = apart * left_x, apart * left_y
    start = _border((x1 + aside_x, y1 + aside_y), (x2 + aside_x, y2 + aside_y), (x1, y1))
    end = _border((x2 + aside_x, y2 + aside_y), (x1 + aside_x, y1 + aside_y), (x2, y2))
    share = layout.labels_at.get(arrow.ends, 0.5)
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


def _over(layout: Layout, arrow: Arrow) -> tuple[str, Point]:
    """Up, across, and down again with round corners."""
    (x1, level), (x2, _) = layout.place(arrow.source), layout.place(arrow.target)
    rise = layout.rises[arrow.ends]
    corner = CORNER if x2 > x1 else -CORNER
    x1, x2 = x1 + rise.begins, x2 + rise.lands
    base = level - BOX_HEIGHT / 2
    top = base - rise.height
    path = (
        f"M{x1} {base} V{top + CORNER} Q{x1} {top} {x1 + corner} {top}"
        f" H{x2 - corner} Q{x2} {top} {x2} {top + CORNER} V{base}"
    )
    return path, (rise.label_x, top + 4)


def _label(arrow: Arrow, at: Point) -> str:
    names = " · ".join(f"<tspan>{number}</tspan> {escape(name)}" for number, name in arrow.rows)
    return f'<text class="label" x="{at[0]:.1f}" y="{at[1]:.1f}">{names}</text>'


def _box(name: str, middle: Point, kind: str) -> str:
    x, y = middle
    return (
        f'<g class="state {kind}"><rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}"'
        f' height="{BOX_HEIGHT}" rx="7"/><text x="{x}" y="{y + 4.5}">{escape(name)}</text></g>'
    )
