"""What can refuse a move that is wanted: the others, the past, the neighbors' patience.

Guards that look at the others have no opinion while the view has a problem; `VIEW` stands beside them and refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from bgp.condition import Guard, GuardName, amount, count, duration
from bgp.ledger import Move
from bgp.situation import Situation
from bgp.state import ANNOUNCING
from bgp.triggers import PROVEN_RULE, says_announcing, says_pinned, says_proven
from bgp.view import NO_VIEW

# --- the others ----------------------------------------------------------------------------------------------


def _where_seen(met: Callable[[Situation], bool]) -> Callable[[Situation], bool]:
    return lambda s: s.given.others.problem != "" or met(s)


VIEW: Final = Guard(
    name=GuardName.VIEW,
    rule="the view of the others is reliable",
    met=lambda s: not s.given.others.problem,
    says=lambda s: (
        f"no reliable view: {s.given.others.problem}" if s.given.others.problem else "the view is reliable"
    ),
    of_others=True,
)
LAST_SITE: Final = Guard(
    name=GuardName.LAST_SITE,
    rule="at least {p.min_announcing} others announce",
    met=_where_seen(lambda s: s.given.others.announcing >= s.params.min_announcing),
    says=lambda s: f"{says_announcing(s)} (needs {s.params.min_announcing})",
    of_others=True,
    in_reason=True,
)
SPARE: Final = Guard(
    name=GuardName.SPARE,
    rule="they can take more than {p.spare_ratio:g} times what this node carries",
    met=_where_seen(lambda s: s.given.others.spare > s.params.spare_ratio * s.given.load),
    says=lambda s: (
        f"the others can take {amount(s.given.others.spare)} calls (needs more than {s.params.spare_ratio:g}"
        f" x {amount(s.given.load)} = {amount(s.params.spare_ratio * s.given.load)})"
    ),
    of_others=True,
    in_reason=True,
)
SETTLING: Final = Guard(
    name=GuardName.SETTLING,
    rule="none of them left or came back in the last {p.settle_s:g} s",
    met=_where_seen(lambda s: s.given.others.settled_s >= s.params.settle_s),
    says=lambda s: (
        "none of the others has left or come back yet"
        if s.given.others.settled_s == inf
        else f"the last of the others left or came back {duration(s.given.others.settled_s)} ago"
        f" (needs {duration(s.params.settle_s)})"
    ),
    left_s=lambda s: max(0.0, s.params.settle_s - s.given.others.settled_s),
    of_others=True,
)
MOVER: Final = Guard(
    name=GuardName.MOVER,
    rule="no node with a lower address claims to leave first",
    met=_where_seen(lambda s: not s.given.others.claimant),
    says=lambda s: f"{s.given.others.claimant or 'nobody'} claims to leave first",
    of_others=True,
)
CLAIM: Final = Guard(
    name=GuardName.CLAIM,
    rule="its own claim has stood for {p.claim_min_s:g} s, and up to {p.claim_spread_s:g} s more by lot",
    met=_where_seen(lambda s: s.claim_ends_at is not None and s.given.now >= s.claim_ends_at),
    says=lambda s: (
        "it does not claim to leave next"
        if s.claim_ends_at is None
        else f"its claim to leave next has {duration(max(0.0, s.claim_ends_at - s.given.now))} to stand"
    ),
    left_s=lambda s: None if s.claim_ends_at is None else max(0.0, s.claim_ends_at - s.given.now),
    of_others=True,
)


def _is_kept(s: Situation) -> bool:
    """The last one of all, broken by its own account, and yet alive."""
    return (
        s.params.last_site_broken == "keep"
        and s.state in ANNOUNCING
        and s.alone
        and s.given.unicast_failed < s.params.probes_to_fence
    )


def _says_kept(s: Situation) -> str:
    if s.state not in ANNOUNCING:
        return "it does not announce"
    if not s.alone:
        return says_announcing(s)
    if s.params.last_site_broken == "withdraw":
        return "nobody else announces, and it is told to withdraw all the same"
    failed = count(s.given.unicast_failed, "probe")
    return f"nobody else announces, and {failed} in a row of its unicast addresses failed (limit {s.params.probes_to_fence})"


LAST_SITE_BROKEN: Final = Guard(
    name=GuardName.LAST_SITE_BROKEN,
    rule="it is not the last one that announces, or its unicast addresses fail too",
    met=lambda s: not _is_kept(s),
    says=_says_kept,
    of_others=True,
)

# --- its own affairs -----------------------------------------------------------------------------------------

OPERATOR: Final = Guard(
    name=GuardName.OPERATOR,
    rule="the operator does not say announce",
    met=lambda s: s.given.hold != "announce",
    says=says_pinned,
)
HOLD: Final = Guard(
    name=GuardName.HOLD,
    rule="the hold since the last move is over",
    met=lambda s: s.given.now >= s.hold_ends_at,
    says=lambda s: f"its hold lasts {duration(s.hold_left_s)} more" if s.hold_left_s else "no hold",
    left_s=lambda s: s.hold_left_s,
)
PROOF: Final = Guard(
    name=GuardName.PROOF,
    rule=PROVEN_RULE,
    met=lambda s: s.proven,
    says=says_proven,
)
BACK_OFF: Final = Guard(
    name=GuardName.BACK_OFF,
    rule="the wait of a node that kept dying is over",
    met=lambda s: s.given.start_wait_s <= 0,
    says=lambda s: (
        f"it kept dying after its start, and waits {duration(s.given.start_wait_s)} more"
        if s.given.start_wait_s > 0
        else "no wait for failed starts"
    ),
    left_s=lambda s: max(0.0, s.given.start_wait_s),
)


def _sync_left_s(s: Situation) -> float:
    return max(0.0, s.began_at + s.params.sync_wait_s - s.given.now)


def _says_sync(s: Situation) -> str:
    if s.given.others.synced:
        return "the others were heard"
    if s.given.others == NO_VIEW:
        return "there are no others to hear"
    left_s = _sync_left_s(s)
    return "the others are not heard yet" + (
        f", it waits {duration(left_s)} for them" if left_s else ", it waited"
    )


SYNC: Final = Guard(
    name=GuardName.SYNC,
    rule="the others were heard, or not within {p.sync_wait_s:g} s, or no neighbor would tell of them",
    met=lambda s: s.given.others.synced or not _sync_left_s(s) or s.given.others == NO_VIEW,
    says=_says_sync,
    left_s=lambda s: 0.0 if s.given.others.synced or s.given.others == NO_VIEW else _sync_left_s(s),
)


# --- the neighbors -------------------------------------------------------------------------------------------


def _ledger(move: Move, noun: str) -> Guard:
    def says(s: Situation) -> str:
        allowance = s.given.allowance
        wait_s = allowance.wait_s[move]
        if s.given.hold == "announce":
            return f"{noun} is made whatever it costs: {says_pinned(s)}"
        when = "now" if not wait_s else "never" if wait_s == inf else f"in {duration(wait_s)}"
        if not allowance.where:
            return f"{noun} costs nothing: no neighbor counts"
        return (
            f"{noun} can be afforded {when}: penalty {allowance.penalty:.0f}"
            f" of {allowance.budget:.0f} at {allowance.where}"
        )

    return Guard(
        name=GuardName.LEDGER,
        rule="what it costs stays within the damping budget of every neighbor, or the operator says announce",
        met=lambda s: s.given.hold == "announce" or not s.given.allowance.wait_s[move],
        says=says,
        left_s=lambda s: s.given.allowance.wait_s[move],
    )


LEDGER: Final = {
    Move.CHANGE: _ledger(Move.CHANGE, "a change"),
    Move.WITHDRAW: _ledger(Move.WITHDRAW, "a withdrawal"),
    Move.ANNOUNCE: _ledger(Move.ANNOUNCE, "an announcement"),
}
