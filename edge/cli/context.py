"""edgectl context"""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli.choice import completing, contexts
from edge.cli.layout import table
from edge.cli.output import output_option, print_json
from edge.fleet.context import contexts_file, read_contexts, write_contexts

_name = click.argument("name", shell_complete=completing(contexts))


@click.group()
def context() -> None:
    """Name fleets, and say which one is meant where none is named.

    Contexts are yours alone, in $XDG_CONFIG_HOME/edge/contexts.toml, or ~/.config where that is not set.
    """


@context.command("ls")
@output_option
def ls(as_json: bool) -> None:
    """List the contexts; * is before the one in use."""
    known = read_contexts(contexts_file())
    if as_json:
        listed = [
            {"name": name, "fleet": one.fleet, "current": name == known.current}
            for name, one in sorted(known.contexts.items())
        ]
        print_json({"apiVersion": "edge/v1", "kind": "Contexts", "contexts": listed})
    elif known.contexts:
        rows = [
            ("*" if name == known.current else "", name, one.fleet)
            for name, one in sorted(known.contexts.items())
        ]
        click.echo(table([("", "NAME", "FLEET"), *rows]))


@context.command("add", epilog="For example: edgectl context add voice ~/fleets/voice/fleet.toml")
@click.argument("name")
@click.argument("fleet", type=click.Path(path_type=Path, dir_okay=False))
def add(name: str, fleet: Path) -> None:
    """Call the fleet of the file FLEET by NAME. The first one is used from then on."""
    from edge.fleet import load_fleet

    load_fleet(fleet)
    file = contexts_file()
    known = read_contexts(file).add(name, fleet)
    write_contexts(file, known)
    click.echo(f"{name} is {'in use' if known.current == name else 'added'}", err=True)


@context.command("use")
@_name
def use(name: str) -> None:
    """Mean this fleet where none is named."""
    file = contexts_file()
    write_contexts(file, read_contexts(file).use(name))


@context.command("rm")
@_name
def rm(name: str) -> None:
    """Forget a name; the fleet file stays."""
    file = contexts_file()
    write_contexts(file, read_contexts(file).remove(name))
