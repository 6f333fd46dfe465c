"""From a rollout to what happens: look, do what it wants, look again. However it ends, nodes know how far it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from edge.fleet.actions import Action
from edge.fleet.crew import Crew
from edge.fleet.rollout import Rollout

POLL_S: Final = 1.0

Tell = Callable[[Rollout], None]


async def carry_out(rollout: Rollout, crew: Crew, *, tell: Tell, poll_s: float = POLL_S) -> None:
    """Until it is over; `Rollout.failure` says how. ``tell`` is called after each look.

    Raises `RefusedError` if somebody else has taken the lease meanwhile. Cancelled, it does nothing more: what nodes were
    told last is where it is to be gone on with.
    """
    clock = asyncio.get_running_loop().time
    while not rollout.is_over:
        crew.leases.check()
        fleet = await crew.look()
        actions = rollout.look(fleet, clock())
        tell(rollout)
        if not actions:
            await asyncio.sleep(poll_s)
            continue
        nodes = dict.fromkeys(action.node for action in actions)
        await asyncio.gather(
            *(_in_turn([one for one in actions if one.node == node], rollout, crew) for node in nodes)
        )


async def _in_turn(actions: Sequence[Action], rollout: Rollout, crew: Crew) -> None:
    """One node's, until one of them fails."""
    for action in actions:
        problem = await crew.do(action)
        rollout.did(action, problem, asyncio.get_running_loop().time())
        if problem:
            return
