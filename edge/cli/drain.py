"""edgectl drain"""

from __future__ import annotations

import time

import click

from edge.cli.fleet_guard import forced
from edge.cli.moments import Span
from edge.cli.orders import FORCE, REASON, ending, send, show_standing
from edge.cli.output import output_option
from edge.cli.several import finish
from edge.cli.where import Choice, named_nodes_argument


@click.command(epilog='For example: edgectl drain ams-1 --deadline 10m --wait --reason "new disk"')
@named_nodes_argument
@click.option(
    "--deadline", "deadline_s", type=Span(), help="Close the calls that are left after so long: 20s, 10m, 1h."
)
@click.option(
    "--hand-over/--let-end",
    default=True,
    show_default="hand over",
    help="Ask the calls to go on at other nodes, or leave them where they are until somebody hangs up.",
)
@click.option("--wait", is_flag=True, help="Watch until no call is left, then tell what became of each.")
@ending
@REASON
@FORCE
@output_option
def drain(
    choice: Choice,
    deadline_s: float | None,
    hand_over: bool,
    wait: bool,
    until: float | None,
    reason: str,
    force: bool,
    as_json: bool,
) -> int | None:
    """Empty nodes before they are taken down: their callers go on elsewhere, and no new ones come.

    Each is withdrawn and held, as by `edgectl withdraw`. When the routers send nobody to it any more it lets nobody in, and
    its calls are handed over to the other nodes, a few at a time. Without a --deadline those that cannot move are left to
    end by themselves. Without NODE and --site it is this machine's.

    The drain goes on whether or not anybody waits for it, also over a restart, until `edgectl undrain`. With --wait the
    exit code is 3 if a call had to be closed or was lost. Refused (exit 6), for all of them and before any is told, if no
    other node is known to announce; with a fleet file all its nodes are asked for that.
    """
    deadline = None if deadline_s is None else time.time() + deadline_s
    order = {"reason": reason, "until": until, "hand_over": hand_over, "deadline": deadline}
    outcomes = send(choice, "/drain", order, forced(choice, force=force), as_json=as_json)
    if not (wait and as_json):
        show_standing(choice, outcomes, as_json=as_json)
    if not wait:
        finish(choice, outcomes)
        return None
    from edge.cli.draining import watch

    return watch(choice, outcomes, as_json=as_json)
