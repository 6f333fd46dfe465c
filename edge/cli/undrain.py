"""edgectl undrain"""

from __future__ import annotations

import click

from edge.cli.orders import give
from edge.cli.output import output_option
from edge.cli.where import Place, node_argument


@click.command()
@node_argument
@output_option
def undrain(place: Place, as_json: bool) -> None:
    """Take a drained node back into service; the same as `edgectl announce`."""
    give(place, "/undrain", {}, as_json=as_json)
