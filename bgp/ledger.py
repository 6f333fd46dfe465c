"""What our changes have cost with other people's routers, and what more we can afford."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Move(Enum):
    """A voluntary change of what a neighbor hears."""

    CHANGE = "change"
    """Other attributes: to de-prefer, or to be plain again after that."""
    WITHDRAW = "withdraw"
    ANNOUNCE = "announce"
    """Again, after a withdrawal."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What can be afforded: ``wait_s[move]`` is how long until ``move`` keeps every neighbor within its budget.

    0 is now; ``penalty`` and ``budget`` are those of the neighbor and prefix that are nearest to their budget,
    named by ``where`` (empty when no neighbor counts).
    """

    wait_s: dict[Move, float]
    penalty: float = 0.0
    budget: float = float("inf")
    where: str = ""


UNLIMITED = Allowance({move: 0.0 for move in Move})
