"""edgectl withdraw"""

from __future__ import annotations

import click

from edge.cli.fleet_guard import is_forced
from edge.cli.orders import FORCE, REASON, ending, give
from edge.cli.output import output_option
from edge.cli.where import Place, node_argument


@click.command(epilog='For example: edgectl withdraw ams-1 --for 30m --reason "their router is upgraded"')
@node_argument
@click.option("--hold", is_flag=True, help="Said for clearness: a withdrawal always holds.")
@ending
@REASON
@FORCE
@output_option
def withdraw(place: Place, hold: bool, until: float | None, reason: str, force: bool, as_json: bool) -> None:  # noqa: ARG001
    """Take a node out of the routes, and keep it out.

    New callers land elsewhere; calls that are up go on. The node stays out over restarts and reboots until
    `edgectl announce`, or until the time that --for or --until gives. Refused (exit 6) if no other node is known to announce; with a fleet file all its nodes are asked.
    """
    force = is_forced(place, force=force)
    give(place, "/withdraw", {"reason": reason, "until": until, "force": force}, as_json=as_json)
