"""The fleet file that a command reads which is about nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.choice import FLEET_FILE, chosen_fleet, completing, fleet_path, which_fleet

if TYPE_CHECKING:
    from edge.fleet import Fleet


def _node_names() -> tuple[str, ...]:
    fleet = chosen_fleet()
    return () if fleet is None else fleet.names


complete_node = completing(_node_names)
"""A parameter's ``shell_complete``: the nodes of the fleet."""


def fleet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--fleet`` and ``--context``; ``command`` gets the path as ``fleet_file``."""

    @which_fleet
    @functools.wraps(command)
    def with_fleet(**options: Any) -> Any:
        return command(fleet_file=chosen(None), **options)

    return with_fleet


def chosen(named: Path | None) -> Path:
    """The file that is ``named``, or the one that is meant where none is; it need not be there."""
    return named or fleet_path() or FLEET_FILE


def loaded(file: Path, *, terraform: Path | None = None) -> Fleet:
    """The fleet in ``file``, checked."""
    from edge.fleet import load_fleet

    return load_fleet(file, terraform=terraform)
