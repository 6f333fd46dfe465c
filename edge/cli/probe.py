"""edgectl probe"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from edge.cli.calling import Caller, Probed, Trust, Way, trust_options
from edge.cli.choice import parallel, timeout_s
from edge.cli.layout import table
from edge.cli.output import output_option, print_json
from edge.cli.session import session
from edge.cli.where import Choice, nodes_argument
from edge.errors import UsageError
from edge.fleet.reach import Outcome, answers, each, settle


@click.command(epilog="For example: edgectl probe ams-1 --no-service")
@nodes_argument
@click.option(
    "--service/--no-service", default=True, show_default=True, help="Call the service addresses, too."
)
@trust_options
@output_option
def probe(choice: Choice, service: bool, trust: Trust, as_json: bool) -> None:
    """Call each node at its own addresses, and the fleet at its service addresses, from here.

    Each is a real call: a short recording is said, and every frame of it has to reach the node's backend. At its own
    address the node itself has to answer; at a service address any node of the fleet may, and the table tells which.

    The exit code is 3 if some calls failed; they are named on stderr.
    """
    if choice.fleet is None:
        raise UsageError(
            "which addresses? they are in the fleet file: give --fleet FILE, or call one address with edgectl call"
        )
    if unknown := [place.name for place in choice.places if place.node is None]:
        raise UsageError(f"{', '.join(unknown)}: say its name in the fleet, which knows its addresses")
    nodes = [place.node for place in choice.places if place.node is not None]
    caller = Caller(choice.fleet, trust)
    ways = [way for node in nodes for way in caller.ways(node)]
    if service:
        ways += caller.shared_ways(choice.fleet)
    with session() as talk:
        outcomes = talk.run(each(ways, caller.call, parallel=parallel(), timeout_s=timeout_s()))
    if as_json:
        print_json(_document(ways, outcomes))
    else:
        head = ("CALLED", "ANSWERED", "PATH", "HANDSHAKE", "ROUND TRIP", "FRAMES")
        click.echo(table([head, *_rows(outcomes)]))
    settle(outcomes, "calls")


def _rows(outcomes: dict[str, Outcome[Probed]]) -> Iterator[tuple[str, ...]]:
    well = answers(outcomes)
    for name in outcomes:
        if name not in well:
            yield (name, "FAILED", "-", "-", "-", "-")
            continue
        one = well[name]
        yield (name, one.answered, one.path, _ms(one.handshake_ms), _ms(one.rtt_ms), str(one.frames))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _document(ways: Sequence[Way], outcomes: dict[str, Outcome[Probed]]) -> dict[str, object]:
    calls = []
    for way in ways:
        outcome = outcomes[way.name]
        error = outcome.error and {"message": str(outcome.error), "exit_code": outcome.error.exit_code}
        calls.append({"node": way.node, "address": way.address, "error": error, "call": outcome.value})
    return {"apiVersion": "edge/v1", "kind": "FleetProbe", "calls": calls}
