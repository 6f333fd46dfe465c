"""edgectl undrain"""

from __future__ import annotations

import click

from edge.cli.orders import OVERRIDE, as_said, give
from edge.cli.output import output_option
from edge.cli.where import Choice, named_nodes_argument


@click.command()
@named_nodes_argument
@OVERRIDE
@output_option
def undrain(choice: Choice, force: bool, as_json: bool) -> None:
    """Take drained nodes back into service, however far the drain is; the same as `edgectl announce`.

    Calls that have been asked to move may still do so; nobody is asked any more.
    """
    give(choice, "/undrain", {}, as_said(choice, force=force), as_json=as_json)
