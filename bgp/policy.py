"""When a node announces its service prefix and when it does not: a state machine over health and load.

Theory. Two kinds of trouble ask for opposite answers. A *broken* node answers nobody, so it must vanish at once
and needs nobody's leave. A *busy* node still serves those it has, and when it withdraws its callers fall on the
others, who may be busy too; so it sheds first, withdraws late, and comes back later still. From this follow the
rules of the table below:

* Nothing is announced before the data plane has proved itself, ``probes_to_announce`` times in a row.
* A fence or an operator's hold acts at once, from any state.
* Moves for load are *voluntary*: each needs its condition to last (``sustain_s``, ``calm_s``), and the next one
  waits for a hold of ``hold_s`` (with jitter, so that nodes that left together don't return together). The hold
  counts in both directions: a prefix that comes and goes faster is suppressed by other people's routers.
* A fence or a hold does not shorten a hold for load: a node that withdrew for load, was fenced and recovered,
  goes on waiting.

The first row that applies is taken; a row's condition is one named predicate. Between ANNOUNCED and WITHDRAWN is
the place of DEPREFERRED (announced with prepend and the graceful-shutdown community); the last-site guard is a
further condition on the rows that withdraw for load, the damping ledger on those and on every way back.

Pure: time, probe results, load and the dice come in as arguments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Final, Literal

import msgspec

KEPT_DECISIONS: Final = 20

Mode = Literal["act", "observe"]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class PolicyParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator may tune. Pressure is a fraction of capacity and may exceed 1."""

    probes_to_announce: Count = 3
    probes_to_fence: Count = 3
    pressure_rise: Annotated[float, msgspec.Meta(gt=0)] = 0.85
    pressure_fall: Annotated[float, msgspec.Meta(gt=0)] = 0.60
    refusals_min_ratio: Ratio = 0.01
    sustain_s: Seconds = 30.0
    calm_s: Seconds = 120.0
    hold_s: Seconds = 600.0
    hold_jitter_ratio: Ratio = 0.2

    def __post_init__(self) -> None:
        if self.pressure_fall >= self.pressure_rise:
            raise ValueError("pressure_fall must be below pressure_rise")

    def scaled(self, factor: float) -> PolicyParams:
        """The same policy on a clock ``factor`` times as long; a lab uses one far below 1."""
        return msgspec.structs.replace(
            self, sustain_s=self.sustain_s * factor, calm_s=self.calm_s * factor, hold_s=self.hold_s * factor
        )


class State(Enum):
    """Where the node stands. Only ANNOUNCED attracts callers."""

    STARTING = "starting"
    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    FENCED = "fenced"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """What is known at ``now``.

    ``probes_passed`` and ``probes_failed`` count self-probes in a row up to now, so one of them is 0. ``defect`` says
    what makes every call fail although probes pass, like an expired certificate; empty for none.
    ``refusal_ratio`` is the part of new connections refused; ``shedding`` says that admission is refusing at all;
    ``drained`` that an operator keeps the node out.
    """

    now: float
    probes_passed: int
    probes_failed: int
    pressure: float
    refusal_ratio: float
    shedding: bool
    drained: bool
    defect: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a row of the table may look at: what is known now, and how long it has been so.

    ``overloaded_s`` and ``calm_s`` are None while they don't last; ``hold_left_s`` is 0 when no hold runs;
    ``away_for_load`` is true from a withdrawal for load until the return from it.
    """

    given: PolicyInput
    params: PolicyParams
    overloaded_s: float | None
    calm_s: float | None
    hold_left_s: float
    away_for_load: bool

    def drained(self) -> bool:
        return self.given.drained

    def released(self) -> bool:
        return not self.given.drained

    def defective(self) -> bool:
        return bool(self.given.defect)

    def broken(self) -> bool:
        return self.given.probes_failed >= self.params.probes_to_fence

    def proven(self) -> bool:
        sound = not (self.broken() or self.defective())
        return sound and self.given.probes_passed >= self.params.probes_to_announce

    def proven_but_away_for_load(self) -> bool:
        return self.proven() and self.away_for_load

    def overloaded(self) -> bool:
        return self._lasts(self.overloaded_s, self.params.sustain_s)

    def calm(self) -> bool:
        return self.proven() and self._lasts(self.calm_s, self.params.calm_s)

    def _lasts(self, lasted_s: float | None, needed_s: float) -> bool:
        return lasted_s is not None and lasted_s >= needed_s and self.hold_left_s == 0


@dataclass(frozen=True, slots=True)
class Transition:
    """A row: from any of ``sources`` to ``target`` when ``condition`` holds.

    ``reason`` is a format string over the situation ``s``. A voluntary row starts a hold.
    """

    sources: frozenset[State]
    target: State
    condition: Callable[[Situation], bool]
    reason: str
    voluntary: bool = False


_NOT_HELD: Final = frozenset(State) - {State.HELD}
_HELD: Final = frozenset({State.HELD})
_UNPROVEN: Final = frozenset({State.STARTING, State.FENCED})
_PROVEN: Final = frozenset({State.ANNOUNCED, State.WITHDRAWN})
_ANNOUNCED: Final = frozenset({State.ANNOUNCED})
_WITHDRAWN: Final = frozenset({State.WITHDRAWN})

TRANSITIONS: Final = (
    Transition(_NOT_HELD, State.HELD, Situation.drained, "held by the operator"),
    Transition(_HELD, State.STARTING, Situation.released, "released by the operator"),
    Transition(_PROVEN, State.FENCED, Situation.defective, "{s.given.defect}"),
    Transition(
        _PROVEN,
        State.FENCED,
        Situation.broken,
        "{s.given.probes_failed} self-probes failed in a row (limit {s.params.probes_to_fence})",
    ),
    Transition(
        _UNPROVEN,
        State.WITHDRAWN,
        Situation.proven_but_away_for_load,
        "healthy again, but still away for load (hold left: {s.hold_left_s:.1f} s)",
    ),
    Transition(
        _UNPROVEN,
        State.ANNOUNCED,
        Situation.proven,
        "{s.given.probes_passed} self-probes passed in a row (needed {s.params.probes_to_announce})",
    ),
    Transition(
        _ANNOUNCED,
        State.WITHDRAWN,
        Situation.overloaded,
        "pressure {s.given.pressure:.2f} above {s.params.pressure_rise:.2f} for {s.overloaded_s:.1f} s "
        "(limit {s.params.sustain_s:.1f} s), refusing {s.given.refusal_ratio:.1%} of new connections",
        voluntary=True,
    ),
    Transition(
        _WITHDRAWN,
        State.ANNOUNCED,
        Situation.calm,
        "pressure {s.given.pressure:.2f} below {s.params.pressure_fall:.2f} for {s.calm_s:.1f} s "
        "(needed {s.params.calm_s:.1f} s)",
        voluntary=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One transition and why. ``carried_out`` is false for a voluntary one in mode ``observe``."""

    at: float
    before: State
    after: State
    reason: str
    carried_out: bool
    situation: Situation


class Policy:
    """See the module. ``announce`` is what the routing table should be told."""

    def __init__(self, params: PolicyParams, *, mode: Mode = "act") -> None:
        self._params = params
        self._mode = mode
        self._state = State.STARTING
        self._overloaded_since: float | None = None
        self._calm_since: float | None = None
        self._hold_until = float("-inf")
        self._away_for_load = False
        self._decisions: deque[Decision] = deque(maxlen=KEPT_DECISIONS)

    @property
    def state(self) -> State:
        return self._state

    @property
    def announce(self) -> bool:
        """Whether the service prefix is to be announced now."""
        # All that `observe` leaves undone is to withdraw for load.
        return self._state is State.ANNOUNCED or (self._state is State.WITHDRAWN and self._mode == "observe")

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The last ``KEPT_DECISIONS``, oldest first."""
        return tuple(self._decisions)

    def decide(self, given: PolicyInput, jitter: float = 0.0) -> Decision | None:
        """Take at most one transition; None when nothing changes.

        ``jitter``, a fresh throw from -1 to 1, shortens or lengthens a hold that begins with this call.
        """
        situation = self._look(given)
        for row in TRANSITIONS:
            if self._state in row.sources and row.condition(situation):
                return self._take(row, situation, jitter)
        return None

    def _look(self, given: PolicyInput) -> Situation:
        params, now = self._params, given.now
        overloaded = (
            given.pressure > params.pressure_rise
            and given.shedding
            and given.refusal_ratio > params.refusals_min_ratio
        )
        calm = given.pressure < params.pressure_fall
        self._overloaded_since = _since(self._overloaded_since, overloaded, now)
        self._calm_since = _since(self._calm_since, calm, now)
        return Situation(
            given=given,
            params=params,
            overloaded_s=None if self._overloaded_since is None else now - self._overloaded_since,
            calm_s=None if self._calm_since is None else now - self._calm_since,
            hold_left_s=max(0.0, self._hold_until - now),
            away_for_load=self._away_for_load,
        )

    def _take(self, row: Transition, situation: Situation, jitter: float) -> Decision:
        now = situation.given.now
        if row.voluntary:
            self._hold_until = now + self._params.hold_s * (1 + jitter * self._params.hold_jitter_ratio)
            self._away_for_load = row.target is State.WITHDRAWN
        decision = Decision(
            at=now,
            before=self._state,
            after=row.target,
            reason=row.reason.format(s=situation),
            carried_out=not row.voluntary or self._mode == "act",
            situation=situation,
        )
        self._state = row.target
        self._decisions.append(decision)
        return decision


def _since(since: float | None, lasts: bool, now: float) -> float | None:
    if not lasts:
        return None
    return now if since is None else since
