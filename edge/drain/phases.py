"""The phases of a drain, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Wait = Annotated[float, msgspec.Meta(ge=0)]

UNCONFIRMED_S: Final = 5.0
"""A speaker that has not said within this that it took the routes back may be gone itself, and its routes with it."""
SEEN_GONE_S: Final = 1.0
"""From the reflectors' word that our routes are gone: their other clients, the routers, have it at the same time."""
STILL_SEEN_S: Final = 15.0
"""Routes that are seen for so long after their withdrawal will not go by waiting: the last resort (`bgp.echo`) has been
tried by then. Calls are handed over all the same, for they go to unicast addresses."""
LEFT_FOR_ANOTHER: Final = 0.5
"""Of what is left until the deadline, how much a call is given to move: there is time to ask once more."""
ASKED_OVER: Final = 0.25
"""The part of the time that callers are given over which they are asked; see `CallTable.hand_over`."""
TOO_LATE_S: Final = 2.0
"""With less than this before the deadline nobody is asked any more: it takes some round trips to move."""
BETWEEN_S: Final = 2.0
"""From the end of what calls were given to the next time that those which stayed are asked."""


class DrainParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``settle_s``: from the withdrawal to the last router's knowing of it, where no reflector shows that.

    ``within_s``: how long callers are given to move, or longer if there are so many that ``calls_per_s`` takes longer: no
    more of them are asked in a second, all over the node, unless a deadline leaves no time for that.
    """

    settle_s: Wait = 10.0
    within_s: Seconds = 30.0
    calls_per_s: Seconds = 20.0


class Phase(StrEnum):
    WITHDRAWING = "withdrawing"
    SETTLING = "settling"
    HANDING_OVER = "handing-over"
    ENDING = "ending"
    CLOSING = "closing"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a node knows. ``withdrawn``: its speaker tells its routes to nobody. ``visible``: whether a neighbor still
    tells them back, None if nobody would. ``calls`` are those that are up.
    """

    withdrawn: bool
    visible: bool | None
    calls: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the calls to move, and give each ``within_s``."""

    within_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close what is left."""


class Drain:
    """One drain from its order on. ``deadline`` is of the same clock as ``now``, None for none; it may be changed."""

    def __init__(self, params: DrainParams, now: float, *, hand_over: bool, deadline: float | None) -> None:
        self.hand_over = hand_over
        self.deadline = deadline
        self.phase = Phase.WITHDRAWING
        self.since = now
        """When it came to this phase."""
        self._params = params
        self._gone_since: float | None = None
        self._ask_at = now

    @property
    def admits(self) -> bool:
        """Whether newcomers are still served."""
        return self.phase in (Phase.WITHDRAWING, Phase.SETTLING)

    def update(self, evidence: Evidence, now: float) -> Ask | Close | None:
        """Take at most one step into the next phases; what is to be done now."""
        self._note_visible(evidence, now)
        while (phase := self._next(evidence, now)) is not self.phase:
            self.phase, self.since = phase, now
        match self.phase:
            case Phase.CLOSING:
                return Close()
            case Phase.HANDING_OVER if now >= self._ask_at:
                within_s = self._within_s(evidence.calls, now)
                if within_s >= TOO_LATE_S * LEFT_FOR_ANOTHER:
                    self._ask_at = now + within_s + BETWEEN_S
                    return Ask(within_s)
        return None

    def _note_visible(self, evidence: Evidence, now: float) -> None:
        if evidence.visible is not False:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now

    def _next(self, evidence: Evidence, now: float) -> Phase:
        overdue = self.deadline is not None and now >= self.deadline
        match self.phase:
            case Phase.WITHDRAWING if not overdue:
                taken_back = evidence.withdrawn or now - self.since >= UNCONFIRMED_S
                return Phase.SETTLING if taken_back else self.phase
            case Phase.SETTLING if not (overdue or self._has_settled(evidence, now)):
                return self.phase
        if not evidence.calls:
            return Phase.EMPTY
        if overdue:
            return Phase.CLOSING
        return Phase.HANDING_OVER if self.hand_over else Phase.ENDING

    def _has_settled(self, evidence: Evidence, now: float) -> bool:
        waited_s = now - self.since
        if evidence.visible is None:
            return waited_s >= self._params.settle_s
        if self._gone_since is not None:
            return now - self._gone_since >= SEEN_GONE_S
        return waited_s >= STILL_SEEN_S

    def _within_s(self, calls: int, now: float) -> float:
        within_s = max(self._params.within_s, calls / self._params.calls_per_s / ASKED_OVER)
        if self.deadline is None:
            return within_s
        return min(within_s, LEFT_FOR_ANOTHER * (self.deadline - now))
