"""Draws who sends what to whom, from lines in the page.

caller | anycast route | node A        the columns, first
caller -> node A: text                 an arrow; --> a dashed one; also <- and <--
caller: text                           something that happens there
== text                                a line across, between two acts
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

COLUMN: Final = 230
LINE: Final = 34
HEAD: Final = 58
BOX: Final = (150, 34)

STYLE: Final = """
.sequence { max-width: 100%; height: auto; font: 13px var(--font-stack, sans-serif); }
.sequence rect { fill: var(--color-background-secondary, #f8f9fb); stroke: var(--color-foreground-muted, #6b6f76); }
.sequence text { fill: var(--color-foreground-primary, #000); text-anchor: middle; paint-order: stroke;
  stroke: var(--color-background-primary, #fff); stroke-width: 6px; stroke-linejoin: round; }
.sequence .who text { font-weight: 600; stroke: none; }
.sequence .life { stroke: var(--color-background-border, #ccc); stroke-width: 1.4; }
.sequence .arrow { stroke: var(--color-brand-content, #2757dd); stroke-width: 1.6; }
.sequence .dashed { stroke-dasharray: 5 4; }
.sequence .act { stroke: var(--color-foreground-muted, #6b6f76); stroke-dasharray: 2 4; }
.sequence .act-name { font-style: italic; }
.sequence .happens { font-style: italic; }
.sequence marker path { fill: var(--color-brand-content, #2757dd); }
"""

_ARROW: Final = re.compile(r"(?P<left>.+?) (?P<arrow><?--?>?) (?P<right>[^:]+): (?P<text>.+)")


def svg(lines: Sequence[str]) -> str:
    """The drawing. Raises ValueError for a line that means nothing."""
    columns = [name.strip() for name in lines[0].split("|")]
    at = {name: COLUMN * (number + 0.5) for number, name in enumerate(columns)}
    width, height = COLUMN * len(columns), HEAD + LINE * len(lines)
    return "\n".join(
        [
            f'<svg class="sequence" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">',
            f"<title>{escape(' | '.join(columns))}</title><style>{STYLE}</style>",
            (
                '<defs><marker id="sequence-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
                ' markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z"/></marker></defs>'
            ),
            *(
                f'<line class="life" x1="{x}" y1="{BOX[1]}" x2="{x}" y2="{height - 8}"/>'
                f'<g class="who"><rect x="{x - BOX[0] / 2}" y="2" width="{BOX[0]}" height="{BOX[1]}" rx="7"/>'
                f'<text x="{x}" y="{BOX[1] / 2 + 6}">{escape(name)}</text></g>'
                for name, x in at.items()
            ),
            *(
                part
                for number, line in enumerate(lines[1:])
                for part in _drawn(line, at, HEAD + LINE * (number + 0.6), width)
            ),
            "</svg>",
        ]
    )


def _drawn(line: str, at: dict[str, float], y: float, width: float) -> Iterator[str]:
    if line.startswith("== "):
        yield f'<line class="act" x1="0" y1="{y}" x2="{width}" y2="{y}"/>'
        yield f'<text class="act-name" x="{width / 2}" y="{y + 4}">{escape(line[3:])}</text>'
    elif (found := _ARROW.fullmatch(line)) is not None:
        begins, ends = at[found["left"]], at[found["right"]]
        if found["arrow"].startswith("<"):
            begins, ends = ends, begins
        dashed = " dashed" if "--" in found["arrow"] else ""
        yield (
            f'<line class="arrow{dashed}" x1="{begins}" y1="{y + 8}" x2="{ends}" y2="{y + 8}"'
            ' marker-end="url(#sequence-arrow)"/>'
        )
        yield f'<text x="{(begins + ends) / 2}" y="{y + 1}">{escape(found["text"])}</text>'
    else:
        who, _, text = line.partition(": ")
        if who not in at or not text:
            raise ValueError(f"neither an arrow nor anything that happens: {line!r}")
        yield f'<text class="happens" x="{at[who]}" y="{y + 4}">{escape(text)}</text>'


class SequenceDiagram(Directive):
    """See the module."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", svg([line for line in self.content if line.strip()]), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("sequence-diagram", SequenceDiagram)
    return {"parallel_read_safe": True}
