"""The life of a response item as a drawing, made from the table in `edge.voice.turns`."""

from typing import Final

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from state_diagram import Arrow, Ends, Layout, Rise, draw

from edge.voice.turns import TRANSITIONS, Stage

LAYOUT: Final = Layout(
    title="The life of a response item",
    width=860,
    height=330,
    places={
        "WAITING": (72, 110),
        "SPEAKING": (302, 110),
        "SENT": (548, 110),
        "PLAYED": (788, 110),
        "PAUSED": (302, 300),
        "CANCELLED": (548, 300),
    },
    any=("any not over", (788, 300)),
    rises={("SENT", "WAITING"): Rise(64, 310)},
    labels_at={
        ("SENT", "PAUSED"): 0.3,
        ("PAUSED", "SENT"): 0.3,
        ("PAUSED", "PLAYED"): 0.65,
        ("WAITING", "PAUSED"): 0.3,
        ("PAUSED", "WAITING"): 0.3,
    },
    strong=frozenset({"SPEAKING", "SENT"}),
)

OVER: Final = frozenset({Stage.PLAYED, Stage.CANCELLED})


def arrows() -> list[Arrow]:
    """One for all rows between the same two stages; red is the end of it, blue an interruption and its answers."""
    rows: dict[Ends, list[tuple[int, str]]] = {}
    for number, row in enumerate(TRANSITIONS, 1):
        everywhere = row.sources == frozenset(Stage) - OVER
        sources = [None] if everywhere else sorted(stage.name for stage in row.sources)
        for source in sources:
            rows.setdefault((source, row.target.name), []).append(
                (number, row.trigger.name.lower().replace("_", " "))
            )
    return [
        Arrow(source, target, found, kind=_kind(source, target)) for (source, target), found in rows.items()
    ]


def _kind(source: str | None, target: str) -> str:
    if target == Stage.CANCELLED.name:
        return "red"
    return "blue" if Stage.PAUSED.name in (source, target) else "plain"


class ItemDiagram(Directive):
    """Takes no argument."""

    def run(self) -> list[nodes.Node]:
        return [draw(LAYOUT, arrows())]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("item-diagram", ItemDiagram)
    return {"parallel_read_safe": True}
