"""edgectl explain"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from edge.cli.incident import note
from edge.cli.layout import printable
from edge.cli.looking import ask_each
from edge.cli.output import output_option, understood
from edge.cli.several import finish, show
from edge.cli.where import Choice, Place, named_nodes_argument
from edge.runtime.documents import NodeExplanation


@click.command()
@named_nodes_argument
@output_option
def explain(choice: Choice, as_json: bool) -> None:
    """Say why nodes are where they are: since when, what holds them there, and what would change that.

    Below the verdict come the numbers behind it, what is known of the other nodes, what changes would cost with the
    neighbors, and the last decisions. Without NODE and --site it is this machine's.
    """
    console = Console(highlight=False, markup=False, emoji=False)

    async def explained(place: Place) -> Any:
        document = await place.answer("GET", "/explain")
        return document if as_json else understood(document, NodeExplanation)

    def one(document: NodeExplanation) -> None:
        console.print(note(document, console.width), soft_wrap=True, end="")

    def many(documents: Mapping[str, NodeExplanation]) -> None:
        for name, document in documents.items():
            console.rule(printable(name), align="left", style="dim")
            one(document)

    outcomes = ask_each(choice, explained)
    show(choice, outcomes, kind="NodeExplanation", as_json=as_json, one=one, many=many)
    finish(choice, outcomes)
