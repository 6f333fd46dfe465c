"""Which fleet a command is for, and how it goes about it: options of edgectl itself and of every command over nodes.

They may stand before or behind the command; the nearest one counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

from edge.cli.moments import Number
from edge.errors import EdgeError

if TYPE_CHECKING:
    from edge.fleet.model import Fleet

Function = TypeVar("Function", bound=Callable[..., Any])

FLEET_FILE: Final = Path("fleet.toml")
"""In the folder where one works, meant where nothing else is."""

_META: Final = "edge.cli.choice"


def _note(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        typed = ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        noted = ctx.meta.setdefault(_META, {})
        if typed or parameter.name not in noted:
            noted[parameter.name] = (value, typed)


def completing(
    words: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What a parameter takes as ``shell_complete``: those of ``words`` that begin as typed. A shell has no place for errors."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        # click has left the context by now.
        with ctx.scope(cleanup=False):
            try:
                return [word for word in words() if word.startswith(incomplete)]
            except EdgeError:
                return []

    return complete


def contexts() -> list[str]:
    """The names of all."""
    from edge.fleet.context import contexts_file, read_contexts

    return sorted(read_contexts(contexts_file()).contexts)


_which: Final = (
    click.option(
        "--fleet",
        "fleet_file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        envvar="EDGECTL_FLEET",
        expose_value=False,
        callback=_note,
        help="The fleet file.  [env var: EDGECTL_FLEET; default: that of the context, or fleet.toml here]",
    ),
    click.option(
        "-c",
        "--context",
        "fleet_context",
        metavar="NAME",
        envvar="EDGECTL_CONTEXT",
        expose_value=False,
        callback=_note,
        shell_complete=completing(contexts),
        help="The context whose fleet is meant, see `edgectl context`.  [env var: EDGECTL_CONTEXT]",
    ),
)
_how: Final = (
    click.option(
        "--timeout",
        "timeout_s",
        metavar="SECONDS",
        type=Number(min=0, min_open=True),
        envvar="EDGECTL_TIMEOUT",
        expose_value=False,
        callback=_note,
        help="What each node has to answer, the way there included.  [default: 10]",
    ),
    click.option(
        "--parallel",
        metavar="N",
        type=click.IntRange(1),
        envvar="EDGECTL_PARALLEL",
        expose_value=False,
        callback=_note,
        help="How many nodes are asked at a time.  [default: 16]",
    ),
)


def which_fleet(command: Function) -> Function:
    """Adds those that say which fleet; what they say is asked for by the functions below."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_which), command)


def fleet_options(command: Function) -> Function:
    """And those that say how its nodes are asked."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed((*_which, *_how)), command)


def _noted(name: str) -> tuple[Any, bool] | None:
    context = click.get_current_context(silent=True)
    noted: dict[str, tuple[Any, bool]] = {} if context is None else context.meta.get(_META, {})
    return noted.get(name)


def timeout_s() -> float:
    from edge.fleet.reach import TIMEOUT_S

    return noted[0] if (noted := _noted("timeout_s")) else TIMEOUT_S


def parallel() -> int:
    from edge.fleet.reach import PARALLEL

    return noted[0] if (noted := _noted("parallel")) else PARALLEL


def fleet_path() -> Path | None:
    """The fleet file that is meant; None if nothing says which. Raises `UsageError`."""
    from edge.fleet.context import Word, contexts_file, fleet_file

    fleet, context = (
        Word(*noted) if (noted := _noted(name)) else None for name in ("fleet_file", "fleet_context")
    )
    path = fleet_file(fleet, context, contexts_file())
    return FLEET_FILE if path is None and FLEET_FILE.exists() else path


def is_named() -> bool:
    """Whether the fleet was named for this command or this shell, and not only left from a context in use."""
    return _noted("fleet_file") is not None or _noted("fleet_context") is not None


def chosen_fleet() -> Fleet | None:
    """The fleet that is meant, read once for each command; None if nothing says which. Raises what reading it does."""
    from edge.fleet.load import load_fleet

    path = fleet_path()
    if path is None:
        return None
    context = click.get_current_context(silent=True)
    read: dict[Path, Fleet] = {} if context is None else context.meta.setdefault(f"{_META}.read", {})
    if path not in read:
        read[path] = load_fleet(path)
    return read[path]
