"""edgectl announce"""

from __future__ import annotations

import click

from edge.cli.orders import OVERRIDE, REASON, ending, give
from edge.cli.output import output_option
from edge.cli.where import Place, node_argument


@click.command(epilog="For example: edgectl announce ams-1 --hold --for 2h")
@node_argument
@click.option("--hold", is_flag=True, help="And keep it in the routes, however loaded it is.")
@ending
@REASON
@OVERRIDE
@output_option
def announce(place: Place, hold: bool, until: float | None, reason: str, force: bool, as_json: bool) -> None:
    """End a withdrawal or any other hold: the node announces when it is fit to.

    With --hold (which --for and --until imply) it moreover no longer leaves for load, until `edgectl announce` without
    --hold, or the time given. A node that is broken leaves all the same.
    """
    order = {"reason": reason, "until": until, "hold": hold or until is not None, "force": force}
    give(place, "/announce", order, as_json=as_json)
