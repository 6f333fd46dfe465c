"""Where a command's text goes: stdout, in colour where that is a terminal and $NO_COLOR does not forbid it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def console() -> Console:
    """Nothing in the text is taken for markup."""
    return Console(highlight=False, markup=False, emoji=False)


def show(text: Text) -> None:
    """As it is: a line that is too long for the terminal is the terminal's to break."""
    console().print(text, soft_wrap=True)
