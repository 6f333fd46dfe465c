"""edgectl announce"""

from __future__ import annotations

import click

from edge.cli.orders import OVERRIDE, REASON, as_said, ending, give
from edge.cli.output import output_option
from edge.cli.where import Choice, named_nodes_argument


@click.command(epilog="For example: edgectl announce ams-1 --hold --for 2h")
@named_nodes_argument
@click.option("--hold", is_flag=True, help="And keep it in the routes, however loaded it is.")
@ending
@REASON
@OVERRIDE
@output_option
def announce(
    choice: Choice, hold: bool, until: float | None, reason: str, force: bool, as_json: bool
) -> None:
    """End a withdrawal or any other hold: nodes announce when they are fit to.

    With --hold (which --for and --until imply) they moreover no longer leave for load, until `edgectl announce` without
    --hold, or the time given. A node that is broken leaves all the same. Without NODE and --site, this machine's.
    """
    order = {"reason": reason, "until": until, "hold": hold or until is not None}
    give(choice, "/announce", order, as_said(choice, force=force), as_json=as_json)
