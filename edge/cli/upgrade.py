"""edgectl upgrade"""

from __future__ import annotations

from pathlib import Path

import click

from edge.cli.operations import Manner, careful, release_argument
from edge.errors import UsageError
from edge.fleet.operation import Kind


@click.command(epilog="For example: edgectl upgrade 0.2.0 --wheelhouse build/release/0.2.0 --soak 10m")
@release_argument
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False),
    help="The release: wheels, and a requirements.txt with their hashes. Not needed where nodes have it.",
)
@click.option("--resume", is_flag=True, help="Go on with what was cut off, or has failed.")
@careful
def upgrade(manner: Manner, version: str | None, wheelhouse: Path | None, resume: bool) -> int | None:
    """Bring a release to all nodes of a fleet, one after the other, while it serves.

    Without VERSION it is the one that the fleet file names. Each node is drained, and changed once nobody sees it announcing
    any more; taken back once it runs the release, is well, and answers a call at its own address; and the next one comes
    when it announces, the others see that, and the fleet has been well for --soak. Nodes that run the release are left alone.

    At the first failure it ends (exit 1): that node stays drained, those after it are not touched. After that, or after
    Ctrl-C, nodes know how far it came: `edgectl status` tells, `edgectl upgrade --resume` goes on, `edgectl rollback` goes
    back. Refused (exit 6) where it would take out the last node that announces, and while another operator has the lease.
    """
    from edge.fleet.operate import Goal
    from edge.fleet.wheelhouse import Wheelhouse

    if not resume:
        version = version or manner.fleet.version
        if version != manner.fleet.version:
            click.echo(
                f"{manner.fleet.file} says version {manner.fleet.version}: write {version} there, too",
                err=True,
            )
        if wheelhouse is not None:
            Wheelhouse(wheelhouse, version).check()

    def archive() -> bytes:
        if wheelhouse is None:
            raise UsageError("no --wheelhouse was given")
        return Wheelhouse(wheelhouse, version or "").archive()

    goal = Goal(kind=Kind.UPGRADE, version=version or "", resume=resume, wheelhouse=wheelhouse)
    return manner.carry_out(goal, archive=archive)
