"""The option of all commands which call: as whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Token(click.ParamType[str]):
    """A token as it is, or ``@FILE``: then it is in no list of processes."""

    name = "token"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith("@"):
            return str(value)
        path = Path(value[1:])
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}", param, ctx)


def token_option(summary: str = "Who calls, for an edge that asks") -> Callable[[Command], Command]:
    """Adds who calls, as ``token``."""
    return click.option(
        "--token",
        metavar="TOKEN|@FILE",
        type=Token(),
        envvar="EDGE_TOKEN",
        show_envvar=True,
        help=f"{summary}; @ reads it from a file.",
    )
