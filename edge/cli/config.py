"""edgectl config"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.config_apply import apply
from edge.cli.config_diff import diff
from edge.cli.fleet_option import complete_node, fleet_option, loaded
from edge.cli.layout import table
from edge.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from edge.fleet import Fleet, Node


@click.group()
def config() -> None:
    """Make the nodes' configurations from the fleet file, compare them, and put them in place."""


config.add_command(apply)
config.add_command(diff)


@config.command("render", epilog="For example: edgectl config render ams-1 > node.toml")
@click.argument("node", required=False, shell_complete=complete_node)
@click.option("--all", "all_nodes", is_flag=True, help="Of all nodes, into the folder --out.")
@click.option(
    "--members", is_flag=True, help="The members file that all nodes share, in the place of a configuration."
)
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write DIR/NODE/node.toml and DIR/NODE/members.toml, and print where and which.",
)
@fleet_option
def render(fleet_file: Path, node: str | None, all_nodes: bool, members: bool, folder: Path | None) -> None:
    """Print the configuration that NODE is to have, or write those of all nodes."""
    from edge.fleet.render import members_toml, node_toml

    if (node is None) == (not members and not all_nodes) or (all_nodes and (folder is None or members)):
        raise UsageError("say whose: NODE, --members, or --all with --out DIR")
    fleet = loaded(fleet_file)
    if folder is not None:
        if members:
            raise UsageError("--members: is written beside each configuration already; say NODE or --all")
        chosen = fleet.nodes if node is None else (fleet.node(node),)
        click.echo(table([("node", "config", "file"), *(_written(fleet, one, folder) for one in chosen)]))
        return
    click.echo(members_toml(fleet) if node is None else node_toml(fleet, fleet.node(node)), nl=False)


def _written(fleet: Fleet, node: Node, folder: Path) -> tuple[str, str, str]:
    from edge.fleet.files import replace_file
    from edge.fleet.render import config_hash, members_toml, node_toml

    place = folder / node.name
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnreachableError(f"{place}: cannot be made: {error.strerror}; choose another --out") from error
    text = node_toml(fleet, node)
    replace_file(place / "members.toml", members_toml(fleet).encode())
    replace_file(place / "node.toml", text.encode())
    return str(node.name), config_hash(text), str(place / "node.toml")
