"""edgectl report"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from edge.cli.where import Place, find
from edge.errors import EdgeError, PartialError, UsageError
from edge.statuspage import TARGETS, Snapshot, fleet_page


@click.command()
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@click.option("--lab", help="The NODEs are in this standing lab, if there are several.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write, HTML."
)
@click.option("--title", default="Fleet", show_default=True, help="What stands at the head of it.")
def report(nodes: tuple[str, ...], lab: str | None, out: Path, title: str) -> None:
    """Write how nodes stand into one HTML file that needs nothing else, to keep or to send.

    It has no caller's address and no secret, but the addresses of nodes and routers, and operators' words. NODE is the
    path of an admin socket or a node of a lab; without any, this machine's. A node that does not answer is in it as such,
    and the exit code is then 3.
    """
    snapshots = documents(nodes, lab)
    try:
        out.write_text(fleet_page(title, snapshots, time.time()))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
    lost = [one.problem for one in snapshots if one.problem]
    if lost:
        raise PartialError(
            f"{out} is written, without {len(lost)} of {len(snapshots)} nodes: {'; '.join(lost)}"
        )
    click.echo(f"{out}: {len(snapshots)} node{'' if len(snapshots) == 1 else 's'}", err=True)


def documents(nodes: Sequence[str], lab: str | None = None) -> list[Snapshot]:
    """What each of ``nodes`` says of itself, or that it says nothing. Raises if nobody is meant, or none can be asked."""
    if not nodes:
        return [_asked("this machine", find(None, lab))]
    return [_asked(node, find(node, lab)) for node in nodes]


def _asked(name: str, place: Place) -> Snapshot:
    try:
        return Snapshot(name=name, **{key: place.ask("GET", target) for key, target in TARGETS.items()})
    except EdgeError as error:
        return Snapshot(name=name, problem=str(error))
