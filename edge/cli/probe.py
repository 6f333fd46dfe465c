"""edgectl probe"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from edge.cli.caller_token import token_option
from edge.cli.choice import parallel, timeout_s
from edge.cli.layout import table
from edge.cli.output import output_option, print_json
from edge.cli.session import session
from edge.cli.where import Choice, nodes_argument
from edge.errors import EdgeError, UsageError
from edge.fleet.reach import Outcome, answers, each, settle

if TYPE_CHECKING:
    from edge.client import CallSummary
    from edge.fleet import Fleet, Node

SPEECH: Final = "hello"
SERVICE: Final = "service"


@dataclass(frozen=True, slots=True)
class Way:
    """Whom to call: ``node`` None for a service address, where any of the fleet may answer."""

    address: str
    port: int
    server_name: str | None
    node: str | None

    @property
    def name(self) -> str:
        return f"{self.node or SERVICE} at {self.address}"


class Probed(msgspec.Struct, frozen=True):
    """A call that went well: who answered, how soon, and how many frames got there."""

    answered: str
    path: str
    handshake_ms: float | None
    rtt_ms: float | None
    frames: int


@click.command()
@nodes_argument
@click.option(
    "--service/--no-service", default=True, show_default=True, help="Call the service addresses, too."
)
@click.option("--ca", type=click.Path(path_type=Path), help="Trust this PEM file instead of the public CAs.")
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option(
    "--server-name",
    metavar="NAME",
    help="The certificate must be for NAME.  [default: the host of the node's url, or the address]",
)
@token_option()
@output_option
def probe(
    choice: Choice,
    service: bool,
    ca: Path | None,
    insecure: bool,
    server_name: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Call each node at its own addresses, and the fleet at its service addresses, from here.

    Each is a real call: a short recording is said, and every frame of it has to reach the node's backend. At its own
    address the node itself has to answer; at a service address any node of the fleet may, and the table tells which.

    The exit code is 3 if some calls failed; they are named on stderr.
    """
    if choice.fleet is None:
        raise UsageError(
            "which addresses? they are in the fleet file: give --fleet FILE, or call one address with edgectl call"
        )
    nodes = [place.node for place in choice.places if place.node is not None]
    ways = list(_ways(choice.fleet, nodes, service=service, server_name=server_name))
    caller = Caller(choice.fleet, ca, insecure, token)
    with session() as talk:
        outcomes = talk.run(each(ways, caller.call, parallel=parallel(), timeout_s=timeout_s()))
    if as_json:
        print_json(_document(ways, outcomes))
    else:
        head = ("CALLED", "ANSWERED", "PATH", "HANDSHAKE", "ROUND TRIP", "FRAMES")
        click.echo(table([head, *_rows(outcomes)]))
    settle(outcomes, "calls")


def _ways(fleet: Fleet, nodes: Sequence[Node], *, service: bool, server_name: str | None) -> Iterator[Way]:
    for node in nodes:
        for address in node.addresses:
            name = server_name or node.config.unicast.name
            yield Way(str(address), node.config.service.port, name, str(node.name))
    if service:
        shared = dict.fromkeys(
            (str(address), node.config.service.port)
            for node in fleet.nodes
            for address in node.config.service.addresses
        )
        for service_address, port in shared:
            yield Way(service_address, port, server_name, None)


class Caller:
    def __init__(self, fleet: Fleet, ca: Path | None, insecure: bool, token: str | None) -> None:
        self._names = fleet.names
        self._ca, self._insecure, self._token = ca, insecure, token

    async def call(self, way: Way) -> Probed:
        """Raises `EdgeError` if anything is missing."""
        from edge.client import audio, connect, speech

        call = connect(
            way.address,
            way.port,
            token=self._token,
            server_name=way.server_name,
            ca=self._ca,
            insecure=self._insecure,
            early_data=False,
            carrier="quic",
            timeout_s=timeout_s(),
            redial_delays_s=(),
        )
        async with call:
            await call.say(audio.read_speech(speech.recording(SPEECH)))
            summary = await call.hang_up()
        return self._judged(way, summary)

    def _judged(self, way: Way, summary: CallSummary) -> Probed:
        last, missing = summary.last, summary.missing_up
        if missing is None or missing or summary.lost_up:
            raise EdgeError(
                f"{'an unknown number' if missing is None else missing + (summary.lost_up or 0)} of "
                f"{summary.frames_sent} frames did not get there"
            )
        if way.node is not None and last.node != way.node:
            raise EdgeError(f"{last.node} answered")
        if last.node not in self._names:
            raise EdgeError(f"{last.node} answered, which is not of this fleet")
        return Probed(last.node, last.path, summary.handshake_ms, last.rtt_ms, summary.frames_sent)


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
