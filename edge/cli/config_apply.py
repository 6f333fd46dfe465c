"""edgectl config apply"""

from __future__ import annotations

import click

from edge.cli.operations import Manner, careful
from edge.fleet.operation import Kind


@click.command("apply", epilog="For example: edgectl config apply --dry-run")
@careful
def apply(manner: Manner) -> int | None:
    """Give nodes the configurations that the fleet file makes, one after the other, while the fleet serves.

    A node that runs another one is drained, gets it, and is restarted, as carefully as by `edgectl upgrade`. A node for which
    only the list of the fleet's nodes is another one gets that while it serves. All others are left alone. Each file is
    checked by the node's own release before it is put in place; --dry-run shows what would change in them.

    What was cut off, or has failed, goes on when it is said again.
    """
    from edge.fleet.crew import Files
    from edge.fleet.operate import Goal
    from edge.fleet.render import config_hash, members_toml, node_toml

    fleet = manner.fleet
    members = members_toml(fleet)
    files = {
        str(node.name): Files(node_toml(fleet, node), members if node.config.fleet.file is not None else "")
        for node in fleet.nodes
    }
    hashes = {name: config_hash(one.node_toml) for name, one in files.items()}
    return manner.carry_out(Goal(kind=Kind.CONFIG, hashes=hashes), files=files)
