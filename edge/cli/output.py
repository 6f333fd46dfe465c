"""How a command hands out a document: as it came, or told by a function of ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from edge.errors import EdgeError

Kind = TypeVar("Kind")


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``-o table|json``; ``command`` gets ``as_json``."""

    @click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
    @functools.wraps(command)
    def with_output(output: str, **options: Any) -> Any:
        return command(as_json=output == "json", **options)

    return with_output


def print_json(document: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def understood(document: object, kind: type[Kind]) -> Kind:
    """A node's ``document`` as the struct ``kind``. Raises EdgeError if that node speaks another version."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise EdgeError(
            f"the node's answer is of another version ({error}); use its own edgectl, or -o json"
        ) from error
