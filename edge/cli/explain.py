"""edgectl explain"""

from __future__ import annotations

import click
from rich.console import Console

from edge.cli.incident import note
from edge.cli.output import output_option, print_json, understood
from edge.cli.where import Place, node_argument
from edge.runtime.documents import NodeExplanation


@click.command()
@node_argument
@output_option
def explain(place: Place, as_json: bool) -> None:
    """Say why a node is where it is: since when, what holds it there, and what would change that.

    Below the verdict come the numbers behind it, what is known of the other nodes, what changes would cost with the
    neighbors, and the last decisions.
    """
    document = place.ask("GET", "/explain")
    if as_json:
        print_json(document)
        return
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(note(understood(document, NodeExplanation), console.width), soft_wrap=True, end="")
