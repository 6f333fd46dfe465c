"""What `edgectl top` shows: as many lines as the terminal has, and none longer. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rich.text import Text

from edge.cli.fleet_table import complaints, node_lines, sites, summary
from edge.cli.looking import Look

COMPLAINTS_SHARE: Final = 0.4
"""Of the lines that are left for them and the nodes, while both have more than fit."""

KEYS: Final = "q quit   t trouble  n name  s site  p pressure  c calls   j k scroll"


def screen(look: Look, *, sort: str, offset: int, width: int, height: int) -> list[Text]:
    """``offset``: how many nodes are scrolled away; no more than there are beyond the screen."""
    at = datetime.fromtimestamp(look.at).astimezone()
    title = Text(f"{at:%H:%M:%S}  ", "dim").append_text(summary(look))
    above = [title, sites(look), Text("")]
    wrong = list(complaints(look.findings).split("\n")) if look.findings else []
    head, *nodes = node_lines(look, sort)
    room = max(2, height - len(above) - 2)  # for the head of the table and the keys
    wrong_room = min(len(wrong), max(int(room * COMPLAINTS_SHARE), room - len(nodes) - 1))
    wrong = _cut(wrong, wrong_room)
    gap = [Text("")] if wrong else []
    node_room = max(1, room - len(wrong) - len(gap))
    offset = max(0, min(offset, len(nodes) - node_room))
    shown = nodes[offset : offset + node_room]
    lines = [*above, *wrong, *gap, head, *shown]
    lines += [Text("")] * (height - 1 - len(lines))
    hidden = len(nodes) - len(shown)
    more = f", {hidden} of {len(nodes)} nodes not shown" if hidden else ""
    footer = Text(f"by {sort}{more}   {KEYS}".ljust(width), "reverse")
    lines = [*lines[: height - 1], footer]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _cut(lines: list[Text], room: int) -> list[Text]:
    """The first of them; where some do not fit, the last line says how many."""
    if len(lines) <= room:
        return lines
    return [*lines[: max(0, room - 1)], Text(f"  and {len(lines) - room + 1} more: edgectl status", "dim")]
