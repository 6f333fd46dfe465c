"""edgectl undrain"""

from __future__ import annotations

import click

from edge.cli.orders import OVERRIDE, give
from edge.cli.output import output_option
from edge.cli.where import Place, node_argument


@click.command()
@node_argument
@OVERRIDE
@output_option
def undrain(place: Place, force: bool, as_json: bool) -> None:
    """Take a drained node back into service, however far the drain is; the same as `edgectl announce`.

    Calls that have been asked to move may still do so; nobody is asked any more.
    """
    give(place, "/undrain", {"force": force}, as_json=as_json)
