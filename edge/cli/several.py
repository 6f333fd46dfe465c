"""What a command hands out that may be given one NODE or several: of one its own document, of several a list of them.

Which of the two it is goes by the words, and not by how many nodes a site has: a script knows what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from edge.cli.layout import table
from edge.cli.output import error_document, print_json
from edge.cli.where import Choice
from edge.fleet.reach import Outcome, answers, settle

Value = TypeVar("Value")


def show(
    choice: Choice,
    outcomes: Mapping[str, Outcome[Value]],
    *,
    kind: str,
    as_json: bool,
    one: Callable[[Value], None],
    many: Callable[[Mapping[str, Value]], None],
) -> None:
    """Print what was got, by ``one`` or ``many`` where it is not to be a document; ``kind`` is that of one node's.

    What was the matter is for `finish` to say.
    """
    found = answers(outcomes)
    if choice.single:
        for value in found.values():
            if as_json:
                print_json(value)
            else:
                one(value)
    elif as_json:
        print_json(listed(kind, outcomes))
    elif found:
        many(found)


def finish(choice: Choice, outcomes: Mapping[str, Outcome[Any]]) -> None:
    """The last word: as `edge.fleet.reach.settle`, and of a single node its own error."""
    if choice.single:
        (outcome,) = outcomes.values()
        if outcome.error is not None:
            raise outcome.error
    settle(outcomes)


def listed(kind: str, outcomes: Mapping[str, Outcome[Any]]) -> dict[str, Any]:
    """The documents of several nodes as one. Each is what the command prints for this node alone."""
    return {
        "apiVersion": "edge/v1",
        "kind": f"{kind}List",
        "nodes": [
            {
                "name": name,
                "error": error_document(outcome.error),
                "document": outcome.value,
            }
            for name, outcome in outcomes.items()
        ],
    }


def show_rows(
    choice: Choice,
    outcomes: Mapping[str, Outcome[Value]],
    *,
    kind: str,
    as_json: bool,
    head: tuple[str, ...],
    rows: Callable[[Value], Iterable[tuple[str, ...]]],
) -> None:
    """`show` as a table; that of several nodes says which."""

    def many(found: Mapping[str, Value]) -> None:
        named = ((name, *row) for name, value in found.items() for row in rows(value))
        click.echo(table([("NODE", *head), *named]))

    def one(value: Value) -> None:
        click.echo(table([head, *rows(value)]))

    show(choice, outcomes, kind=kind, as_json=as_json, one=one, many=many)
