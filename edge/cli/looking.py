"""Looking at nodes: asking each for its status, beside what the fleet file wants of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from edge.cli.choice import parallel, timeout_s
from edge.cli.session import session
from edge.cli.where import Choice, Place
from edge.errors import EdgeError
from edge.fleet.findings import Finding, findings
from edge.fleet.observed import Seen, Wanted, understood
from edge.fleet.reach import Outcome, each

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Look:
    """The nodes as they were found ``at`` a moment by the wall clock; ``documents`` are what they answered, by name."""

    at: float
    fleet: str
    nodes: tuple[Seen, ...]
    documents: Mapping[str, Any]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return findings(self.nodes, self.at)


def ask_each(choice: Choice, do: Callable[[Place], Awaitable[Value]]) -> dict[str, Outcome[Value]]:
    """``do`` for every node that was chosen, as many at a time and as long as the user says."""
    with session() as talk:
        return talk.run(each(choice.places, do, parallel=parallel(), timeout_s=timeout_s()))


def ask_in_turn(choice: Choice, do: Callable[[Place], Awaitable[Value]]) -> dict[str, Outcome[Value]]:
    """``do`` for one after the other, each for as long as it takes: its questions have their own deadlines."""
    with session() as talk:
        return talk.run(each(choice.places, do, parallel=1, timeout_s=inf))


def wanted(choice: Choice) -> dict[str, Wanted]:
    """What the fleet file says of the nodes; rendering a configuration takes time, so once for all looks."""
    if choice.fleet is None:
        return {place.name: Wanted(place.name) for place in choice.places}
    from edge.fleet.render import config_hash, node_toml

    fleet = choice.fleet
    return {
        place.name: Wanted(
            place.name,
            str(place.node.site) if place.node else "",
            fleet.version,
            config_hash(node_toml(fleet, place.node)) if place.node else "",
        )
        for place in choice.places
    }


async def status_of(place: Place) -> Any:
    return await place.answer("GET", "/status")


def seen(wanted: Wanted, outcome: Outcome[Any]) -> Seen:
    """A node that speaks of its status in a way that we do not understand is as good as unreachable."""
    if outcome.error is not None:
        return Seen(wanted, error=outcome.error)
    try:
        status = understood(outcome.value)
    except EdgeError as error:
        return Seen(wanted, error=error)
    if wanted.site == "" and wanted.name != status.node:
        wanted = Wanted(status.node, status.site)  # it was given by a path: now its name is known
    return Seen(wanted, status=status)


def look(choice: Choice, wants: Mapping[str, Wanted]) -> tuple[Look, dict[str, Outcome[Any]]]:
    """At all nodes once, and what came of asking each. One whose answer is not understood has failed, too."""
    outcomes = ask_each(choice, status_of)
    found = look_at(choice, wants, outcomes)
    failed: dict[str, Outcome[Any]] = {
        name: Outcome(error=one.error) for name, one in zip(outcomes, found.nodes, strict=True) if one.error
    }
    return found, outcomes | failed


def look_at(choice: Choice, wants: Mapping[str, Wanted], outcomes: Mapping[str, Outcome[Any]]) -> Look:
    nodes = {name: seen(wants[name], outcome) for name, outcome in outcomes.items()}
    documents = {nodes[name].name: outcome.value for name, outcome in outcomes.items() if not outcome.error}
    fleet = "" if choice.fleet is None else str(choice.fleet.name)
    return Look(time.time(), fleet, tuple(nodes.values()), documents)
