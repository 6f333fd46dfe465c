"""edgectl withdraw"""

from __future__ import annotations

import click

from edge.cli.fleet_guard import forced
from edge.cli.orders import FORCE, REASON, ending, give
from edge.cli.output import output_option
from edge.cli.where import Choice, named_nodes_argument


@click.command(epilog='For example: edgectl withdraw ams-1 --for 30m --reason "their router is upgraded"')
@named_nodes_argument
@click.option("--hold", is_flag=True, help="Said for clearness: a withdrawal always holds.")
@ending
@REASON
@FORCE
@output_option
def withdraw(
    choice: Choice,
    hold: bool,  # noqa: ARG001
    until: float | None,
    reason: str,
    force: bool,
    as_json: bool,
) -> None:
    """Take nodes out of the routes, and keep them out.

    New callers land elsewhere; calls that are up go on. A node stays out over restarts and reboots until
    `edgectl announce`, or until the time that --for or --until gives. Without NODE and --site it is this machine's. Refused
    (exit 6), for all of them and before any is told, if no other node is known to announce; with a fleet file all its
    nodes are asked.
    """
    order = {"reason": reason, "until": until}
    give(choice, "/withdraw", order, forced(choice, force=force), as_json=as_json)
