"""Which fleet file a command is about."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge.fleet import Fleet

VARIABLE = "EDGECTL_FLEET"
DEFAULT = Path("fleet.toml")


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--fleet``; ``command`` gets the path as ``fleet_file``."""

    @click.option(
        "--fleet",
        "named",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"The operator's fleet file.  [default: ${VARIABLE}, or {DEFAULT} here]",
    )
    @functools.wraps(command)
    def with_fleet(named: Path | None, **options: Any) -> Any:
        return command(fleet_file=chosen(named), **options)

    return with_fleet


def chosen(named: Path | None) -> Path:
    """The file that is ``named``, or that of the environment, or the one that is here."""
    return named or Path(os.environ.get(VARIABLE) or DEFAULT)


def loaded(file: Path, *, terraform: Path | None = None) -> Fleet:
    """The fleet in ``file``, checked."""
    from edge.fleet import load_fleet

    return load_fleet(file, terraform=terraform)
