"""Conditions: things that can be so or not, and that can say how they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from bgp.situation import Situation


class GuardName(StrEnum):
    """What can refuse a move that is wanted."""

    OPERATOR = "operator"
    HOLD = "hold"
    VIEW = "view"
    LAST_SITE = "last_site"
    SPARE = "spare"
    SETTLING = "settling"
    MOVER = "mover"
    CLAIM = "claim"
    LEDGER = "ledger"
    PROOF = "proof"
    BACK_OFF = "back_off"
    SYNC = "sync"
    LAST_SITE_BROKEN = "last_site_broken"


def _never(_: Situation) -> None:
    """Waiting alone does not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that a move depends on.

    It has two texts: ``rule`` is general, a format string over the parameters ``p``, and documentation is made from
    it; ``says`` tells how things stand, met or not, with the numbers. ``left_s`` is how long it takes to be met if
    nothing else changes; None where waiting does not help.

    ``of_others`` is true of what depends on the view of the others, and goes when the parameter ``guard`` is "off".
    """

    name: str
    rule: str
    met: Callable[[Situation], bool]
    says: Callable[[Situation], str]
    left_s: Callable[[Situation], float | None] = _never
    of_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard(Condition):
    """A condition that can refuse a move. ``in_reason``: what it saw belongs to the reason of the moves it lets pass."""

    name: GuardName
    in_reason: bool = False


def duration(seconds: float) -> str:
    """As short as one would say it: "1.5 s", "31 s", "4 min 12 s", "2 h 5 min"."""
    if seconds == inf:
        return "for ever"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if seconds < 179.5:
        return f"{seconds:.0f} s"
    minutes, odd_seconds = divmod(round(seconds), 60)
    hours, odd_minutes = divmod(minutes, 60)
    units = ((hours, "h"), (odd_minutes, "min")) if hours else ((minutes, "min"), (odd_seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in units if number)


def amount(number: float) -> str:
    """Calls: whole numbers, but a tenth where that is much."""
    return f"{number:.1f}" if number < 100 and number % 1 else f"{number:,.0f}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
