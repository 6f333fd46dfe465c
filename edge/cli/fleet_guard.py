"""The guard before a node of a fleet is taken out: the other nodes are asked, whatever it can see of them itself."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.cli.choice import parallel, timeout_s
from edge.cli.session import session
from edge.cli.where import Place, find_all
from edge.errors import EdgeError, RefusedError
from edge.fleet.last_announcer import nobody_left
from edge.fleet.reach import answers, each
from edge.fleet.sighting import Observed, observed, silent


def is_forced(place: Place, *, force: bool) -> bool:
    """Whether the order has to say `force`: the operator does, or the node cannot see the others, which we have.

    A node of no fleet is left to its own guard. Raises `RefusedError` if the fleet's other nodes announce nothing that this
    one does, and what asking the node raises.
    """
    if force or place.node is None:
        return force
    choice = find_all(())
    with session() as talk:
        outcomes = talk.run(each(choice.places, _look, parallel=parallel(), timeout_s=timeout_s()))
    found = answers(outcomes)
    if (problem := outcomes[place.name].error) is not None:
        raise problem
    fleet = {name: found[name][0] if name in found else silent("", None) for name in outcomes}
    if lost := nobody_left([place.name], fleet):
        raise RefusedError(f"{lost}; --force does it all the same")
    seen, is_leased = found[place.name]
    # A lease is not ours to override: with it, the node says who has it.
    return not (seen.knows_others or is_leased)


async def _look(place: Place) -> tuple[Observed, bool]:
    status, explanation, routes = [
        await place.answer("GET", target) for target in ("/status", "/explain", "/bgp/routes")
    ]
    return _understood(status, explanation, routes), bool(status.get("lease"))


def _understood(status: Any, explanation: Any, routes: Any) -> Observed:
    try:
        return observed(status, explanation, routes, None)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise EdgeError(f"its answer is of another version: {error!r}") from error
