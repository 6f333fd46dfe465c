"""edgectl calls"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from edge.cli.layout import table
from edge.cli.looking import ask_each
from edge.cli.moments import span
from edge.cli.output import output_option, print_json, understood
from edge.cli.where import Choice, Place, nodes_argument
from edge.fleet.reach import answers, settle


class Frames(msgspec.Struct, frozen=True):
    """Counted where the backend takes and gives them."""

    frames: int


class Call(msgspec.Struct, frozen=True):
    """What is told of a call; ``outcome``: what became of its connection."""

    call_id: str
    worker: int
    carrier: str
    outcome: str
    age_s: float
    ended: bool
    heard: Frames
    said: Frames
    hand_over: str = ""


@click.group()
def calls() -> None:
    """Look at the calls that are up."""


@calls.command("ls")
@nodes_argument
@click.option("--ended", is_flag=True, help="Those that ended lately, too.")
@output_option
def ls(choice: Choice, ended: bool, as_json: bool) -> None:
    """List the calls of nodes, the oldest first: carrier, path, age, and the frames that were heard and said.

    Without NODE, of all nodes of the fleet or, where none is chosen, of this machine's.
    """
    outcomes = ask_each(choice, _calls_of)
    found = answers(outcomes)
    if as_json:
        nodes = [
            {"name": name, "calls": [call for call in calls if ended or not call["ended"]]}
            for name, calls in found.items()
        ]
        print_json({"apiVersion": "edge/v1", "kind": "FleetCalls", "nodes": nodes})
    else:
        known = {name: msgspec.convert(calls, list[Call]) for name, calls in found.items()}
        head = ("NODE", "CALL", "CARRIER", "PATH", "AGE", "HEARD", "SAID", "")
        click.echo(table([head, *_rows(known, ended=ended)]))
    settle(outcomes)


async def _calls_of(place: Place) -> Any:
    """As the node tells them. Raises `EdgeError` if they are not what we know: that is that node's alone."""
    calls = await place.answer("GET", "/calls")
    understood(calls, list[Call])
    return calls


def _rows(nodes: Mapping[str, Sequence[Call]], *, ended: bool) -> Iterator[tuple[str, ...]]:
    for name, calls in nodes.items():
        for call in sorted(calls, key=lambda call: (call.ended, -call.age_s)):
            if ended or not call.ended:
                yield (
                    name,
                    call.call_id,
                    call.carrier,
                    call.outcome.replace("_", " "),
                    span(call.age_s),
                    str(call.heard.frames),
                    str(call.said.frames),
                    "ended" if call.ended else call.hand_over,
                )
