"""What `edgectl fleet init` asks for, where no option says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.fleet.beginning import Beginning, TerraformNodes

Parsed = TypeVar("Parsed")

_DONE = ""


def answered(wishes: Mapping[str, Any], *, ask: bool, terraform: TerraformNodes | None = None) -> Beginning:
    """The options, and answers to the rest. Raises `UsageError` for what is missing and may not be asked.

    ``terraform``: nodes of which nothing is asked.
    """
    from edge.fleet.beginning import Beginning, NewNode, NewUpstream, needs_tokens

    name = wishes["name"] or _one("name", "Name of the fleet", ask=ask, default="voice")
    service = tuple(wishes["service"]) or tuple(
        _one("service", "Service addresses (anycast; with a comma between IPv4 and IPv6)", ask=ask)
        .replace(",", " ")
        .split()
    )
    audience = wishes["audience"]
    if audience is None and needs_tokens(service):
        audience = _one(
            "audience", "What callers' tokens are for (audience)", ask=ask, default="voice.example"
        )
    if terraform is not None:
        return Beginning(name, service, (), user=wishes["user"], audience=audience, terraform=terraform)
    nodes = _all(
        "node", "Node: NAME,ADDRESS[,ADDRESS] (nothing: no more)", wishes["nodes"], NewNode.parse, ask=ask
    )
    if not nodes:
        raise UsageError("--node: there are none; a fleet has at least one")
    asking = ask and not wishes["upstreams"]
    question = "Upstream router: SITE,ADDRESS,AS (nothing: no more)"
    upstreams = _all("upstream", question, wishes["upstreams"], NewUpstream.parse, ask=asking, needed=False)
    local_as = wishes["local_as"]
    if upstreams and local_as is None:
        local_as = int(_one("local-as", "The AS that announces", ask=ask, kind=click.IntRange(1, 2**32 - 2)))
    return Beginning(name, service, tuple(nodes), tuple(upstreams), local_as, wishes["user"], audience)


def _one(
    option: str,
    question: str,
    *,
    ask: bool,
    default: str | None = None,
    kind: click.ParamType[Any] | None = None,
) -> str:
    if ask:
        return str(click.prompt(question, default=default, type=kind, err=True))
    if default is None:
        raise UsageError(f"--{option}: is missing, and --yes forbids to ask")
    return default


def _all(
    option: str,
    question: str,
    given: tuple[str, ...],
    parse: Callable[[str], Parsed],
    *,
    ask: bool,
    needed: bool = True,
) -> list[Parsed]:
    """One by one, until nothing is answered. What is no answer is asked again."""
    if given or not ask:
        if needed and not given:
            raise UsageError(f"--{option}: is missing, and --yes forbids to ask")
        return [parse(text) for text in given]
    found: list[Parsed] = []
    while text := click.prompt(question, default=_DONE, show_default=False, err=True).strip():
        try:
            found.append(parse(text))
        except UsageError as error:
            click.echo(str(error), err=True)
    return found
