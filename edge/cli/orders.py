"""What the four commands that give a node an order have in common: withdraw, announce, drain, undrain."""

from __future__ import annotations

import functools
import os
import pwd
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import click
import msgspec

from edge.cli.layout import printable, table
from edge.cli.looking import ask_each
from edge.cli.moments import Moment, Span, moment, span
from edge.cli.output import understood
from edge.cli.several import finish, show
from edge.cli.where import Choice, Place
from edge.fleet.reach import Outcome
from edge.runtime.holds import Hold

REASON = click.option("--reason", default="", help="Why, for whoever looks at the node next.")
FORCE = click.option(
    "--force",
    is_flag=True,
    help="Even if no other node is known to announce, or another operator has the lease.",
)
OVERRIDE = click.option("--force", is_flag=True, help="Even if another operator has the lease.")


class Obeyed(msgspec.Struct, frozen=True):
    """What is told of the status that a node answers with."""

    node: str
    state: str
    reason: str
    announced: bool
    hold: Hold | None
    calls: int


def ending(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--for`` and ``--until``; ``command`` gets ``until``, a wall-clock time, None for without end."""

    @click.option("--for", "for_s", type=Span(), help="The hold ends after so long: 90s, 30m, 1h30m, 2d.")
    @click.option(
        "--until", "until_moment", type=Moment(), help="The hold ends then: 2026-11-22T10:00, local time."
    )
    @functools.wraps(command)
    def with_until(for_s: float | None, until_moment: datetime | None, **options: Any) -> Any:
        if for_s is not None and until_moment is not None:
            raise click.UsageError("--for and --until both say when it ends; give one")
        until = until_moment and until_moment.timestamp()
        return command(until=until if for_s is None else time.time() + for_s, **options)

    return with_until


def as_said(choice: Choice, *, force: bool) -> dict[str, Outcome[bool]]:
    """What `give` takes as ``forced`` for an order that no guard has to be asked for."""
    return {place.name: Outcome(value=force) for place in choice.places}


def give(
    choice: Choice,
    target: str,
    order: Mapping[str, object],
    forced: Mapping[str, Outcome[bool]],
    *,
    as_json: bool,
) -> None:
    """Send an order in the name of whoever types, and tell how the nodes stand then."""
    outcomes = send(choice, target, order, forced, as_json=as_json)
    show_standing(choice, outcomes, as_json=as_json)
    finish(choice, outcomes)


def send(
    choice: Choice,
    target: str,
    order: Mapping[str, object],
    forced: Mapping[str, Outcome[bool]],
    *,
    as_json: bool,
) -> dict[str, Outcome[Any]]:
    """The nodes' statuses, as they came or as `Obeyed`. ``forced``: whether the order to a node says `force`, or why it gets
    none.
    """

    async def obeyed(place: Place) -> Any:
        force = forced[place.name]
        if force.error is not None:
            raise force.error
        status = await place.answer("POST", target, {**order, "force": force.value, "who": who()})
        return status if as_json else understood(status, Obeyed)

    return ask_each(choice, obeyed)


def show_standing(choice: Choice, outcomes: Mapping[str, Outcome[Any]], *, as_json: bool) -> None:
    """What nodes answered to an order."""
    now = time.time()

    def one(node: Obeyed) -> None:
        click.echo(told(node, now))

    def many(nodes: Mapping[str, Obeyed]) -> None:
        rows = [_row(name, node, now) for name, node in nodes.items()]
        click.echo(table([("NODE", "STATE", "CALLS", "HOLD"), *rows]))

    show(choice, outcomes, kind="NodeStatus", as_json=as_json, one=one, many=many)


def _row(name: str, node: Obeyed, now: float) -> tuple[str, ...]:
    hold = hold_sentence(node.hold, now) if node.hold else "no hold"
    return (name, node.state, str(node.calls), "; ".join(filter(None, (hold, _why(node)))))


def _why(node: Obeyed) -> str:
    """Where the order alone does not say why it stands there."""
    return "" if node.state in ("held", "announced") else f"why: {node.reason}"


def told(node: Obeyed, now: float) -> str:
    """How it stands, who holds it, and what becomes of its calls."""
    lines = [f"{node.node} is {node.state}, {hold_sentence(node.hold, now) if node.hold else 'no hold'}"]
    if why := _why(node):
        lines.append(f"{why}; what would change it: edgectl explain")
    if not node.announced and node.calls:
        is_drained = node.hold is not None and node.hold.drain is not None
        lines.append(f"calls that are up{'' if is_drained else ' and go on'}: {node.calls}")
    return "\n".join(map(printable, lines))


def hold_sentence(hold: Hold, now: float) -> str:
    """``withdrawn by alice since 10:02:11, until 10:32:11 (29 min 3 s from now): a new disk``"""
    words = ["kept announced" if hold.kind == "announce" else "drained" if hold.drain else "withdrawn"]
    if hold.who:
        words.append(f"by {hold.who}")
    if hold.since:  # a damaged file tells nothing of it
        words.append(f"since {moment(hold.since, now)},")
    if hold.until is None:
        words.append("until told otherwise")
    else:
        words.append(f"until {moment(hold.until, now)} ({span(hold.until - now)} from now)")
    return " ".join(words) + (f": {hold.reason}" if hold.reason else "")


def who() -> str:
    """The person, also behind sudo; inside a lab there may be no more than root."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return os.environ.get("SUDO_USER") or user
