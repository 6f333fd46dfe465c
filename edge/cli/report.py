"""edgectl report"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import click

from edge.cli.looking import ask_each
from edge.cli.where import Choice, Place, nodes_argument
from edge.errors import EdgeError, UsageError
from edge.fleet.reach import Outcome, settle
from edge.statuspage import TARGETS, Snapshot, fleet_page


@click.command(epilog="For example: edgectl report --out fleet.html")
@nodes_argument
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write, HTML."
)
@click.option("--title", help="What stands at the head of it.  [default: the fleet's name]")
def report(choice: Choice, out: Path, title: str | None) -> None:
    """Write how nodes stand into one HTML file that needs nothing else, to keep or to send.

    It has no caller's address and no secret, but the addresses of nodes and routers, and operators' words. Without NODE,
    it is of all nodes of the fleet or, where none is chosen, this machine's. A node that does not answer is in it as such,
    and the exit code is then 3.
    """
    outcomes = ask_each(choice, _snapshot)
    snapshots = [_known(name, outcome) for name, outcome in outcomes.items()]
    head = title or (str(choice.fleet.name) if choice.fleet else "Fleet")
    try:
        out.write_text(fleet_page(head, snapshots, time.time()), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}; choose another place") from error
    click.echo(f"{out}: {len(snapshots)} node{'' if len(snapshots) == 1 else 's'}", err=True)
    settle(outcomes)


async def _snapshot(place: Place) -> Snapshot:
    """Of a node that answers: the rest of what it tells is left out where it does not."""
    documents = {"status": await place.answer("GET", TARGETS["status"])}
    for key, target in TARGETS.items():
        with contextlib.suppress(EdgeError):
            documents[key] = documents.get(key) or await place.answer("GET", target)
    return Snapshot(name=place.name, **documents)


def _known(name: str, outcome: Outcome[Snapshot]) -> Snapshot:
    return outcome.value or Snapshot(name=name, problem=str(outcome.error))
