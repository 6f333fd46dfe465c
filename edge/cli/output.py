"""How a command hands out a document: as it came, or told by a function of ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from edge.errors import EdgeError

Kind = TypeVar("Kind")

_META: Final = "edge.cli.output"


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``-o table|json|yaml``; ``command`` gets ``as_json``: whether a document is wanted, for `print_json`."""

    @click.option(
        "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True
    )
    @functools.wraps(command)
    def with_output(output: str, **options: Any) -> Any:
        click.get_current_context().meta[_META] = output
        return command(as_json=output != "table", **options)

    return with_output


def print_json(document: object) -> None:
    """In the form that was asked for: the same as YAML with ``-o yaml``."""
    import msgspec  # `edgectl version` does without, unless it is asked for a document

    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_META) == "yaml":
        # Through JSON, so that both have the same values: YAML would know moments, and keys that are no text.
        plain = msgspec.json.decode(msgspec.json.encode(document))
        click.echo(msgspec.yaml.encode(plain).decode(), nl=False)
    else:
        click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def error_document(error: EdgeError | None) -> dict[str, Any] | None:
    """What documents have for a node of which there is nothing else; None where nothing is the matter."""
    return None if error is None else {"message": str(error), "exit_code": error.exit_code}


def understood(document: object, kind: type[Kind]) -> Kind:
    """A node's ``document`` as the struct ``kind``. Raises EdgeError if that node speaks another version."""
    import msgspec

    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise EdgeError(
            f"the node's answer is of another version ({error}); use its own edgectl, or -o json"
        ) from error
