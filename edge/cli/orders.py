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

from edge.cli.layout import printable
from edge.cli.moments import Moment, Span, moment, span
from edge.cli.output import print_json, understood
from edge.cli.where import Place
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


def give(
    place: Place, target: str, order: Mapping[str, object], *, as_json: bool, quiet: bool = False
) -> None:
    """Send an order in the name of whoever types, and tell how the node stands then, unless ``quiet``."""
    status = place.ask("POST", target, {**order, "who": who()})
    if quiet:
        return
    if as_json:
        print_json(status)
    else:
        click.echo(told(understood(status, Obeyed), time.time()))


def told(node: Obeyed, now: float) -> str:
    """How it stands, who holds it, and what becomes of its calls."""
    lines = [f"{node.node} is {node.state}, {hold_sentence(node.hold, now) if node.hold else 'no hold'}"]
    if node.state not in ("held", "announced"):
        lines.append(f"why: {node.reason}; what would change it: edgectl explain")
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
