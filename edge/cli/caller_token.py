"""The option of all commands which call: as whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

_LONGEST: Final = 16 * 1024
"""Characters; nodes take less, and a file that was meant to be another one is longer."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Token(click.ParamType[str]):
    """A token as it is, or ``@FILE``: then it is in no list of processes."""

    name = "token"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith("@"):
            return str(value)
        path = Path(value[1:])
        try:
            token = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}", param, ctx)
        if len(token.split()) != 1 or len(token) > _LONGEST:
            self.fail(f"{path}: is no token; print one into it with: edgectl token sign", param, ctx)
        return token


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
