"""The policies that are compared: the same machine with other numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bgp.params import HYSTERESIS, NAIVE, NONE, PolicyParams
from edge.simulate.schema import SimulationFile

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Contender:
    """``sheds``: its nodes refuse newcomers by and by, as ours do, and not only when they are full.

    ``keeps_ledger``: it counts what its changes cost with other people's routers.
    """

    params: PolicyParams
    sheds: bool = True
    keeps_ledger: bool = False


RIVALS: dict[str, Contender] = {
    "none": Contender(NONE),
    "naive": Contender(NAIVE, sheds=False),
    "hysteresis": Contender(HYSTERESIS, sheds=False),
}
NAMES = (*RIVALS, OURS)


def contender(name: str, file: SimulationFile) -> Contender:
    """By name; `ours` takes its numbers from the file."""
    return RIVALS.get(name) or Contender(file.policy, keeps_ledger=True)
