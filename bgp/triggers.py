"""What makes a node want a move: trouble, recovery, and the operator's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bgp.condition import Condition, count, duration
from bgp.params import PolicyParams
from bgp.situation import Situation

# --- the operator --------------------------------------------------------------------------------------------

HELD: Final = Condition(
    name="held",
    rule="the operator says withdraw",
    met=lambda s: s.given.hold == "withdraw",
    says=lambda s: ("held" if s.given.hold == "withdraw" else "not held") + " by the operator",
)
RELEASED: Final = Condition(
    name="released",
    rule="the operator no longer says withdraw",
    met=lambda s: s.given.hold != "withdraw",
    says=lambda s: ("still held" if s.given.hold == "withdraw" else "released") + " by the operator",
)


def says_pinned(s: Situation) -> str:
    return ("" if s.given.hold == "announce" else "not ") + "kept announced by the operator"


PINNED: Final = Condition(
    name="pinned",
    rule="the operator says announce",
    met=lambda s: s.given.hold == "announce",
    says=says_pinned,
)

# --- health --------------------------------------------------------------------------------------------------

PROVEN_RULE: Final = "{p.probes_to_announce} self-probes in a row passed, and no defect is known"

DEFECTIVE: Final = Condition(
    name="defective",
    rule="a defect makes every call fail: an expired certificate",
    met=lambda s: s.given.defect != "",
    says=lambda s: s.given.defect or "no defect is known",
)
BROKEN: Final = Condition(
    name="broken",
    rule="{p.probes_to_fence} self-probes in a row failed",
    met=lambda s: s.given.probes_failed >= s.params.probes_to_fence,
    says=lambda s: (
        f"{count(s.given.probes_failed, 'self-probe')} in a row failed (limit {s.params.probes_to_fence})"
    ),
)


def says_proven(s: Situation) -> str:
    passed = (
        f"{count(s.given.probes_passed, 'self-probe')} in a row passed (needs {s.params.probes_to_announce})"
    )
    return f"{passed}, but {s.given.defect}" if s.given.defect else passed


PROVEN: Final = Condition(
    name="proven",
    rule=PROVEN_RULE,
    met=lambda s: s.proven,
    says=says_proven,
)
PROVEN_BUT_AWAY: Final = Condition(
    name="still away",
    rule="it has proved itself, but had withdrawn for load and not come back since",
    met=lambda s: s.away_for_load and s.proven and s.given.hold != "announce",
    says=lambda s: (
        f"{says_proven(s)}; still away for load (hold left: {duration(s.hold_left_s)})"
        if s.away_for_load
        else "had not withdrawn for load"
    ),
)

# --- load ----------------------------------------------------------------------------------------------------


def _overloaded(name: str, rule: str, needed_s: Callable[[PolicyParams], float]) -> Condition:
    return Condition(
        name=name,
        rule=rule,
        met=lambda s: s.overloaded_since is not None and s.overloaded_s >= needed_s(s.params),
        says=lambda s: f"{_lasting('overloaded', s.overloaded_s, needed_s(s.params))}: {_load(s)}",
        left_s=lambda s: (
            None if s.overloaded_since is None else max(0.0, needed_s(s.params) - s.overloaded_s)
        ),
    )


def _lasting(what: str, lasted_s: float, needed_s: float) -> str:
    if lasted_s < 0:
        return f"not {what}"
    return f"{what} for {duration(lasted_s)} (needs {duration(needed_s)})"


def _load(s: Situation) -> str:
    pressure = f"pressure {s.given.pressure:.2f} (high from {s.params.pressure_rise:.2f})"
    if not s.params.shed_first:
        return pressure
    refused = f"{s.given.refusal_ratio:.1%}" if s.given.shedding else "none"
    return f"{pressure}, {refused} of new callers refused (limit {s.params.refusals_min_ratio:.1%})"


OVERLOADED: Final = _overloaded(
    "overloaded",
    "pressure from {p.pressure_rise:g} on, and more than {p.refusals_min_ratio:.0%} of new callers refused,"
    " for {p.deprefer_after_s:g} s",
    lambda p: p.deprefer_after_s,
)
STILL_OVERLOADED: Final = _overloaded(
    "still overloaded",
    "callers still come and are refused, for {p.withdraw_after_s:g} s after the step before",
    lambda p: p.withdraw_after_s,
)
OVERLOADED_FOR_BOTH: Final = _overloaded(
    "overloaded for both",
    "overloaded for as long as both steps take, where the parameter `deprefer` is false",
    lambda p: p.deprefer_after_s + p.withdraw_after_s,
)
CALM: Final = Condition(
    name="calm",
    rule="pressure below {p.pressure_fall:g} for {p.calm_s:g} s",
    met=lambda s: s.calm_since is not None and s.calm_s >= s.params.calm_s,
    says=lambda s: (
        f"{_lasting('calm', s.calm_s, s.params.calm_s)}:"
        f" pressure {s.given.pressure:.2f} (low below {s.params.pressure_fall:.2f})"
    ),
    left_s=lambda s: None if s.calm_since is None else max(0.0, s.params.calm_s - s.calm_s),
)


def says_announcing(s: Situation) -> str:
    others = s.given.others
    if others.problem:
        return f"not known who else announces: {others.problem}"
    if not others.announcing:
        return "nobody else announces"
    return f"{count(others.announcing, 'other node')} announce{'s' if others.announcing == 1 else ''}"


ALONE: Final = Condition(
    name="alone",
    rule="a reliable view shows nobody else announcing",
    met=lambda s: s.alone,
    says=says_announcing,
    of_others=True,
)
