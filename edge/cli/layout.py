"""Text for a terminal: nothing that a node passes on from others can do more than be read."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence


def printable(text: str) -> str:
    """``text`` with ``?`` for what would move the cursor or speak to the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> str:
    """``text`` in lines of at most ``width``, the first behind ``first``, the others behind ``rest``.

    Words that are longer than a line, as paths and addresses can be, stay whole.
    """
    return textwrap.fill(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Sequence[Sequence[str]], *, width: int = 0, indent: str = "") -> str:
    """Columns side by side; with a ``width`` the last one is wrapped to what is left of it."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        head = indent + "".join(f"{cell:<{size}}  " for cell, size in zip(row[:-1], widths, strict=False))
        if width and row[-1]:
            lines.append(wrapped(row[-1], max(width, len(head) + 16), first=head, rest=" " * len(head)))
        else:
            lines.append((head + row[-1]).rstrip())
    return "\n".join(lines)
