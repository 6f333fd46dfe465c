"""The pieces that pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element

from edge.statuspage.html import Child, e
from edge.statuspage.style import FILE_POLICY, SCRIPT, STYLE

STATES: Final = {
    "announced": "good",
    "depreferred": "warn",
    "starting": "calm",
    "held": "calm",
    "withdrawn": "warn",
    "fenced": "bad",
}
"""How good it is to be there: announced, busy, somebody's wish, or broken."""

OUTCOMES: Final = (
    ("migrated", "moved to unicast", "good"),
    ("direct", "unicast from the start", "calm"),
    ("on_anycast", "still on anycast", "warn"),
)


def page(title: str, *children: Child | Iterable[Child], live: bool) -> Element:
    """``live``: it asks for itself again and again; else it is a file."""
    policy = None if live else e("meta", http_equiv="Content-Security-Policy", content=FILE_POLICY)
    return e(
        "html",
        e(
            "head",
            e("meta", charset="utf-8"),
            policy,
            e("meta", name="viewport", content="width=device-width,initial-scale=1"),
            e("title", title),
            e("link", rel="icon", href="data:,"),
            e("style", STYLE),
        ),
        e(
            "body",
            e("p", id="lost", class_="note bad", hidden="hidden") if live else None,
            e("main", *children),
            e("script", SCRIPT) if live else None,
        ),
        lang="en",
    )


def pill(text: str, tone: str, *, small: bool = False) -> Element:
    return e("span", text, class_=f"pill {tone}{' small' if small else ''}")


def state_pill(state: str, *, small: bool = False) -> Element:
    return pill(state, STATES.get(state, "calm"), small=small)


def note(tone: str, head: str, text: str) -> Element:
    return e("p", e("b", head), e("span", text), class_=f"note {tone}")


def card(title: str, *children: Child | Iterable[Child], size: str = "") -> Element:
    return e("section", e("h2", title), *children, class_=f"card {size}".strip())


def bar(parts: Iterable[tuple[float, str]]) -> Element:
    """``parts``: each a fraction of the whole and its tone."""
    pieces = [
        e("i", class_=f"bg-{tone}", style=f"width:{min(1.0, max(0.0, part)):.1%}") for part, tone in parts
    ]
    return e("div", *pieces, class_="bar")


def load_tone(pressure: float) -> str:
    """At the defaults of [overload] low is below 0.6, and high from 0.85 on."""
    return "good" if pressure < 0.6 else "warn" if pressure < 0.85 else "bad"


def table(head: Sequence[str], rows: Iterable[Sequence[Child]], *, numbers: Sequence[int] = ()) -> Element:
    """Columns ``numbers`` stand to the right."""

    def classes(column: int) -> str | None:
        return "num" if column in numbers else None

    return e(
        "div",
        e(
            "table",
            e("thead", e("tr", *(e("th", text, class_=classes(column)) for column, text in enumerate(head)))),
            e(
                "tbody",
                *(
                    e("tr", *(e("td", cell, class_=classes(column)) for column, cell in enumerate(row)))
                    for row in rows
                ),
            ),
        ),
        class_="scroll",
    )


def facts(rows: Iterable[tuple[str, Child]]) -> Element:
    return e("dl", *(part for name, value in rows for part in (e("dt", name), e("dd", value))))


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
