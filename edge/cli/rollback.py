"""edgectl rollback"""

from __future__ import annotations

import click

from edge.cli.operations import Manner, careful, release_argument
from edge.fleet.operation import Kind


@click.command(epilog="For example: edgectl rollback --dry-run")
@release_argument
@careful
def rollback(manner: Manner, version: str | None) -> int | None:
    """Take all nodes of a fleet back to the release that they ran before, in the same careful way as `edgectl upgrade`.

    Which one that was, nodes know from the last upgrade, also from one that failed or was cut off: nodes that it had not come
    to stay as they are. With VERSION it is that one, which has to be installed still. A node whose process does not
    run is brought back first.
    """
    from edge.fleet.operate import Goal

    return manner.carry_out(Goal(kind=Kind.ROLLBACK, version=version or ""))
