"""edgectl status"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from edge.cli.fleet_table import page
from edge.cli.layout import printable
from edge.cli.looking import Look, look, wanted
from edge.cli.moments import Span, span
from edge.cli.output import error_document, output_option, print_json
from edge.cli.screen import show
from edge.cli.where import Choice, nodes_argument
from edge.errors import DeadlineError
from edge.fleet.observed import Seen, Status, neighbors_down
from edge.fleet.reach import settle

POLL_S: Final = 1.0

STATES: Final[Mapping[str, Callable[[Status], bool]]] = {
    "ready": lambda node: node.state == "announced" and node.announced and not neighbors_down(node),
    "announced": lambda node: node.announced,
    "withdrawn": lambda node: not node.announced,
    "drained": lambda node: node.drain is not None and node.drain.phase == "empty",
}


@click.command(epilog="For example: edgectl status --wait announced --wait-for 10m")
@nodes_argument
@click.option(
    "--wait",
    "state",
    type=click.Choice(list(STATES)),
    is_flag=False,
    flag_value="ready",
    metavar="[STATE]",
    help=f"Return when every node is so: {', '.join(STATES)}.  [default: ready]",
)
@click.option(
    "--wait-for",
    "patience_s",
    type=Span(),
    default="5m",
    show_default=True,
    help="Give up waiting after so long: 90s, 30m. The exit code is 4 then.",
)
@output_option
def status(choice: Choice, state: str | None, patience_s: float, as_json: bool) -> None:
    """Show how nodes stand: what is wrong first, then a line for each.

    Without NODE, all nodes of the fleet or, where none is chosen, this machine's. Nodes are names of the fleet or of a lab,
    or paths of admin sockets.

    The exit code is 3 if some nodes did not answer; they are named on stderr, and the others are shown. What is wrong with
    a node that answers does not change it: --wait tells a script when all is well.
    """
    wants = wanted(choice)
    if state is None:
        seen, outcomes = look(choice, wants)
    else:
        seen, outcomes = _await(lambda: look(choice, wants), state, patience_s)
    if as_json:
        print_json(document(seen))
    else:
        show(page(seen))
    settle(outcomes)


def document(look: Look) -> dict[str, Any]:
    """`FleetStatus`: the nodes' own documents, and what is found wrong with them."""
    return {
        "apiVersion": "edge/v1",
        "kind": "FleetStatus",
        "fleet": look.fleet or None,
        "at": look.at,
        "findings": [
            {
                "severity": finding.severity.name.lower(),
                "about": finding.about,
                "what": finding.what,
                "sentence": finding.sentence,
            }
            for finding in look.findings
        ],
        "nodes": [
            {
                "name": node.name,
                "site": node.site,
                "error": error_document(node.error),
                "status": look.documents.get(node.name),
            }
            for node in look.nodes
        ],
    }


def _await(again: Callable[[], tuple[Look, Any]], state: str, patience_s: float) -> tuple[Look, Any]:
    """Look until every node is in ``state``; a line on stderr whenever those that are not have changed."""
    told, deadline = "", time.monotonic() + patience_s
    while True:
        found, outcomes = again()
        lacking = [node for node in found.nodes if not (node.status and STATES[state](node.status))]
        if not lacking:
            return found, outcomes
        words = ", ".join(_standing(node) for node in lacking)
        if time.monotonic() >= deadline:
            raise DeadlineError(f"after {span(patience_s)} not {state}: {words}")
        if words != told:
            click.echo(printable(f"not {state} yet: {words}"), err=True)
            told = words
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def _standing(node: Seen) -> str:
    if node.status is None:
        return f"{node.name} ({node.error})"
    down = neighbors_down(node.status)
    return f"{node.name} ({node.status.state}" + (f", BGP down with {', '.join(down)})" if down else ")")
