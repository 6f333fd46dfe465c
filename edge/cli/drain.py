"""edgectl drain"""

from __future__ import annotations

import click

from edge.cli.orders import FORCE, REASON, ending, give
from edge.cli.output import output_option
from edge.cli.where import Place, node_argument


@click.command()
@node_argument
@ending
@REASON
@FORCE
@output_option
def drain(place: Place, until: float | None, reason: str, force: bool, as_json: bool) -> None:
    """Let a node's calls end while no new ones come, before it is taken down.

    It is withdrawn and held, as by `edgectl withdraw`, and `edgectl undrain` takes it back. Refused
    (exit 6) if no other node is known to announce.
    """
    give(place, "/drain", {"reason": reason, "until": until, "force": force}, as_json=as_json)
