"""The guard before nodes of a fleet are taken out: the others are asked, whatever those that leave can see of them."""

from __future__ import annotations

from edge.cli.choice import parallel, timeout_s
from edge.cli.session import session
from edge.cli.where import Choice, Place, find_all
from edge.errors import EdgeError, RefusedError
from edge.fleet.last_announcer import nobody_left
from edge.fleet.reach import Outcome, each
from edge.fleet.sighting import NOT_UNDERSTOOD, Observed, observed, silent


def forced(choice: Choice, *, force: bool) -> dict[str, Outcome[bool]]:
    """Whether the order to each node has to say `force`: the operator does, or the node cannot see the others, which we have.

    They are judged together: what each of them may do alone, all of them may not. A node that does not answer cannot be
    judged, and has what was the matter in place of that. A single node of no fleet is left to its own guard. Raises
    `RefusedError` if nobody else would announce what they do, or nobody can tell.
    """
    alone = len(choice.places) == 1
    strangers = [place.name for place in choice.places if place.node is None]
    if force or (alone and strangers):
        return {place.name: Outcome(value=force) for place in choice.places}
    if strangers:
        raise RefusedError(
            f"{', '.join(strangers)}: of no fleet file, so nobody can tell who would be left if all of these leave at "
            "once; name one at a time, or --force"
        )
    places = {place.name: place for place in (*find_all(()).places, *choice.places)}
    with session() as talk:
        outcomes = talk.run(each(places.values(), _look, parallel=parallel(), timeout_s=timeout_s()))
    fleet = {
        name: silent(str(outcome.error), None) if outcome.value is None else outcome.value[0]
        for name, outcome in outcomes.items()
    }
    if lost := nobody_left([place.name for place in choice.places], fleet):
        raise RefusedError(f"{lost}; --force does it all the same")
    return {place.name: _needs_force(outcomes[place.name]) for place in choice.places}


def _needs_force(outcome: Outcome[tuple[Observed, bool]]) -> Outcome[bool]:
    if outcome.value is None:
        return Outcome(error=outcome.error)
    seen, is_leased = outcome.value
    # A lease is not ours to override: with it, the node says who has it.
    return Outcome(value=not (seen.knows_others or is_leased))


async def _look(place: Place) -> tuple[Observed, bool]:
    status, explanation, routes = [
        await place.answer("GET", target) for target in ("/status", "/explain", "/bgp/routes")
    ]
    try:
        return observed(status, explanation, routes, None), bool(status.get("lease"))
    except NOT_UNDERSTOOD as error:
        raise EdgeError(f"its answer is of another version: {error!r}") from error
