"""The ladder: when a node announces its service prefix, and when it does not. One table, and why it is so.

Theory. Two kinds of trouble ask for opposite answers. A *broken* node answers nobody: it must vanish at once, and
needs nobody's leave. A *busy* node still serves those it has, and when it leaves, its callers fall on the others, who
may be busy too. So a busy node first sheds (that is not in this table: refusing newcomers is quick, costs nothing
with the neighbors and is taken back as easily), then becomes less preferred, then leaves, and comes back late.

    ANNOUNCED  ->  DEPREFERRED  ->  WITHDRAWN      for load, rung by rung; back from either in one step
    FENCED                                         broken; from anywhere, at once
    HELD                                           the operator's word; from anywhere, at once

*Each rung must be needed.* Overload here means that callers come and are refused. When being less preferred has moved
them elsewhere nobody is refused any more, and the node stays on that rung, serving the calls it has, and whoever has
no other way.

*Each rung must help.* A node goes only if those who stay can carry what it carries: a reliable view of them, enough
of them, enough room, nobody just gone, and nobody else about to go. Two who decide in the same moment would both be
right, and wrong together; so a node first claims to be next, lets the claim be seen, and looks again. The lower
address goes first, and whoever waited finds the others unsettled. Where nothing is known of the others nothing
moves (fail static): the node stays, and sheds.

*Each rung has a price.* Neighbors count changes, and suppress who changes too often, for longer than any overload
lasts. So the two signs of being less preferred travel in one update, moves are made only while the damping ledger can
pay for them, and each is followed by a hold. Within a hold there is at most the step to the next rung. Holds differ
by a lot between nodes, for those who left together shall not come back together.

*The operator outranks the price.* Who pins a node announced has looked, and means it: the ledger counts and does not
refuse. Load never moves a pinned node, so only its ways back are meant by this.

*Broken is not busy.* A fence asks neither the others nor the ledger. The way back from it does wait for the ledger,
since a route that is suppressed serves nobody. Nor is a fence a short cut out of a hold: who was away for load is
away for load again when it has recovered. There is one exception to the fence. Where the view is sure that nobody
else announces, and the node still answers through its own addresses, then vanishing helps nobody for certain, and
staying may help some. Likewise a node that is away for load comes back early when the last of the others is gone.

The first row that is wanted and not refused is taken, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from bgp import guards as guard
from bgp import triggers as trigger
from bgp.condition import Condition, Guard
from bgp.ledger import Move
from bgp.params import PolicyParams
from bgp.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """From any of ``sources`` to ``target`` when ``trigger`` is met and none of ``guards`` refuses.

    ``move`` is what the ledger must be able to afford, None where it is not asked. ``hold`` names the parameter for
    the hold that begins. ``voluntary`` moves are those for load: mode "observe" does not carry them out.
    ``deprefer`` is the value of the parameter of that name with which the row exists; None for any.
    """

    sources: frozenset[State]
    target: State
    trigger: Condition
    guards: tuple[Guard, ...] = ()
    move: Move | None = None
    hold: Literal["deprefer_hold_s", "withdraw_hold_s"] | None = None
    voluntary: bool = False
    deprefer: bool | None = None


def _states(*states: State) -> frozenset[State]:
    return frozenset(states)


_ON_THE_LADDER: Final = _states(State.ANNOUNCED, State.DEPREFERRED, State.WITHDRAWN)
_MAY_LEAVE: Final = (
    guard.OPERATOR,
    guard.VIEW,
    guard.LAST_SITE,
    guard.SPARE,
    guard.SETTLING,
    guard.MOVER,
    guard.CLAIM,
)

TRANSITIONS: Final = (
    # The operator and broken nodes: at once.
    Row(
        sources=frozenset(State) - {State.HELD},
        target=State.HELD,
        trigger=trigger.HELD,
    ),
    Row(
        sources=_states(State.HELD),
        target=State.STARTING,
        trigger=trigger.RELEASED,
    ),
    Row(
        sources=_ON_THE_LADDER,
        target=State.FENCED,
        trigger=trigger.DEFECTIVE,
    ),
    Row(
        sources=_ON_THE_LADDER,
        target=State.FENCED,
        trigger=trigger.BROKEN,
        guards=(guard.LAST_SITE_BROKEN,),
    ),
    # Healthy (again).
    Row(
        sources=_states(State.STARTING, State.FENCED),
        target=State.WITHDRAWN,
        trigger=trigger.PROVEN_BUT_AWAY,
    ),
    Row(
        sources=_states(State.STARTING),
        target=State.ANNOUNCED,
        trigger=trigger.PROVEN,
        guards=(guard.BACK_OFF, guard.SYNC),
        move=Move.ANNOUNCE,
    ),
    Row(
        sources=_states(State.FENCED),
        target=State.ANNOUNCED,
        trigger=trigger.PROVEN,
        move=Move.ANNOUNCE,
    ),
    # Load: up the ladder. The last of these goes within the hold of the first.
    Row(
        sources=_states(State.ANNOUNCED),
        target=State.DEPREFERRED,
        trigger=trigger.OVERLOADED,
        guards=(guard.HOLD, *_MAY_LEAVE),
        move=Move.CHANGE,
        hold="deprefer_hold_s",
        voluntary=True,
        deprefer=True,
    ),
    Row(
        sources=_states(State.ANNOUNCED),
        target=State.WITHDRAWN,
        trigger=trigger.OVERLOADED_FOR_BOTH,
        guards=(guard.HOLD, *_MAY_LEAVE),
        move=Move.WITHDRAW,
        hold="withdraw_hold_s",
        voluntary=True,
        deprefer=False,
    ),
    Row(
        sources=_states(State.DEPREFERRED),
        target=State.WITHDRAWN,
        trigger=trigger.STILL_OVERLOADED,
        guards=_MAY_LEAVE,
        move=Move.WITHDRAW,
        hold="withdraw_hold_s",
        voluntary=True,
    ),
    # And down again.
    Row(
        sources=_states(State.DEPREFERRED),
        target=State.ANNOUNCED,
        trigger=trigger.CALM,
        guards=(guard.HOLD, guard.PROOF),
        move=Move.CHANGE,
        hold="deprefer_hold_s",
        voluntary=True,
    ),
    Row(
        sources=_states(State.WITHDRAWN),
        target=State.ANNOUNCED,
        trigger=trigger.CALM,
        guards=(guard.HOLD, guard.PROOF),
        move=Move.ANNOUNCE,
        hold="deprefer_hold_s",
        voluntary=True,
    ),
    # The reasons for being away, or less preferred, are gone or outranked: no hold to wait for.
    Row(
        sources=_states(State.WITHDRAWN),
        target=State.ANNOUNCED,
        trigger=trigger.ALONE,
        guards=(guard.PROOF,),
        move=Move.ANNOUNCE,
        hold="deprefer_hold_s",
    ),
    Row(
        sources=_states(State.WITHDRAWN),
        target=State.ANNOUNCED,
        trigger=trigger.PINNED,
        guards=(guard.PROOF,),
        move=Move.ANNOUNCE,
        hold="deprefer_hold_s",
    ),
    Row(
        sources=_states(State.DEPREFERRED),
        target=State.ANNOUNCED,
        trigger=trigger.PINNED,
        guards=(guard.PROOF,),
        move=Move.CHANGE,
        hold="deprefer_hold_s",
    ),
)


def guards_of(row: Row) -> tuple[Guard, ...]:
    """All that can refuse ``row``, the ledger first."""
    return row.guards if row.move is None else (guard.LEDGER[row.move], *row.guards)


def rows_by_state(params: PolicyParams) -> dict[State, tuple[Row, ...]]:
    """The rows that exist with these parameters, with `guards_of` them, by the state in which they are tried."""
    blind = params.guard == "off"
    rows = [
        replace(row, guards=tuple(one for one in guards_of(row) if not (blind and one.of_others)))
        for row in TRANSITIONS
        if row.deprefer in (None, params.deprefer) and not (blind and row.trigger.of_others)
    ]
    return {state: tuple(row for row in rows if state in row.sources) for state in State}
