"""edgectl config diff"""

from __future__ import annotations

import difflib
from typing import Any

import click
from rich.text import Text

from edge.cli.layout import printable
from edge.cli.looking import ask_each
from edge.cli.output import output_option, print_json
from edge.cli.screen import show
from edge.cli.where import Choice, Place, nodes_argument
from edge.errors import EdgeError, UsageError
from edge.fleet.reach import answers, settle

DIFFERENT = 1
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command("diff")
@nodes_argument
@output_option
def diff(choice: Choice, as_json: bool) -> int:
    """Show how the configurations that nodes run differ from those that the fleet file makes.

    As `diff -u`: what is taken away is what the node runs, what is added is what it would get. Compared is the text that
    the node has loaded, not what is in its file since.

    The exit code is 0 if there is no difference and 1 if there is; 3 if some nodes could not be asked.
    """
    if choice.fleet is None:
        raise UsageError("nothing to compare with: give --fleet FILE, or use a context (edgectl context add)")
    if strangers := [place.name for place in choice.places if place.node is None]:
        raise UsageError(
            f"{', '.join(strangers)}: say it by its name in {choice.fleet.file}, to compare it with that"
        )
    from edge.fleet.render import node_toml

    outcomes = ask_each(choice, _running)
    running = answers(outcomes)
    wanted = {place.name: node_toml(choice.fleet, place.node) for place in choice.places if place.node}
    differences = {name: "".join(_difference(name, text, wanted[name])) for name, text in running.items()}
    if as_json:
        nodes = [{"name": name, "same": not text, "diff": text} for name, text in differences.items()]
        print_json({"apiVersion": "edge/v1", "kind": "ConfigDiff", "nodes": nodes})
    else:
        for text in filter(None, differences.values()):
            show(_coloured(text))
    settle(outcomes)
    return DIFFERENT if any(differences.values()) else 0


async def _running(place: Place) -> Any:
    text = await place.answer("GET", "/config")
    if not isinstance(text, str):
        raise EdgeError("its configuration is no text; use its own edgectl")
    return text


def _difference(name: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"{name} (runs)",
        f"{name} (fleet file)",
    )
    # A last line without an end would run into what follows.
    return [line if line.endswith("\n") else f"{line}\n" for line in lines]


def _coloured(text: str) -> Text:
    told = Text()
    for line in text.splitlines():
        told.append(printable(line) + "\n", _STYLES.get(line[:1], ""))
    told.right_crop()
    return told
