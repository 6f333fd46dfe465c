"""Why a node is where it is: what brought it there, what holds it there, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bgp.condition import Condition, GuardName
from bgp.ladder import Row
from bgp.situation import Situation
from bgp.state import ANNOUNCING, State
from bgp.triggers import PROVEN, RELEASED

OUT_UNTIL_PROVEN: Final = frozenset({State.STARTING, State.FENCED})
"""What brought a node there may be long over: the reason that counts is the one why it is still there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How a condition stands. ``left_s`` is how long until it is met by itself; None where waiting does not help."""

    name: str
    met: bool
    sentence: str
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Way:
    """A way out. The first of ``conditions`` is the trigger: when it is met, the move is wanted."""

    target: State
    voluntary: bool
    conditions: tuple[Finding, ...]

    @property
    def wanted(self) -> bool:
        return self.conditions[0].met

    @property
    def unmet(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.conditions if not one.met)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A note on one node at one moment. ``reason`` is that of the last decision, empty before the first.

    ``in_effect`` differs from ``state`` where moves are only observed. ``held_by`` has a sentence for each move that
    is wanted and refused, or, when none is wanted, for each that might be expected and why it is not.
    """

    state: State
    in_effect: State
    since_s: float
    reason: str
    held_by: tuple[str, ...]
    ways: tuple[Way, ...]

    @property
    def kept_out_by(self) -> str:
        """What a node waits for that is out, has proved itself, and would announce; empty if it is not so."""
        if self.state not in OUT_UNTIL_PROVEN:
            return ""
        back = (way for way in self.ways if way.wanted and way.unmet and way.target in ANNOUNCING)
        return next(map(_refusal, back), "")


def explain(situation: Situation, rows: Sequence[Row], *, in_effect: State, reason: str) -> Explanation:
    """``rows`` are those that can be taken from the situation's state."""
    ways = [Way(row.target, row.voluntary, tuple(_findings(row, situation))) for row in rows]
    refused = [way for way in ways if way.wanted]
    usual = [
        way
        for way, row in zip(ways, rows, strict=True)
        if row.voluntary or row.trigger is PROVEN or row.trigger is RELEASED
    ]
    return Explanation(
        state=situation.state,
        in_effect=in_effect,
        since_s=situation.given.now - situation.since,
        reason=reason,
        held_by=tuple(_refusal(way) for way in refused)
        or tuple(f"not {way.target.value}: {way.conditions[0].sentence}" for way in usual),
        ways=tuple(ways),
    )


def _findings(row: Row, situation: Situation) -> Iterator[Finding]:
    unseen = situation.given.others.problem != ""
    yield _finding(row.trigger, situation)
    for guard in row.guards:
        # The numbers of a view that has a problem mean nothing.
        if not (unseen and guard.of_others) or guard.name is GuardName.VIEW:
            yield _finding(guard, situation)


def _finding(condition: Condition, situation: Situation) -> Finding:
    met = condition.met(situation)
    left_s = None if met else condition.left_s(situation)
    return Finding(condition.name, met, condition.says(situation), left_s)


def _refusal(way: Way) -> str:
    # A claim is made when nothing else refuses, so before that its absence explains nothing.
    refusing = [one.sentence for one in way.unmet if one.name != GuardName.CLAIM]
    refusing = refusing or [one.sentence for one in way.unmet]
    wanted = f"would be {way.target.value}: {way.conditions[0].sentence}"
    return f"{wanted}; but {', and '.join(refusing)}" if refusing else wanted
