"""The states of a node towards routing. They stand alone, so that whoever tells or reads them needs no policy."""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a node stands, from the ladder's first rung to those who are not on it."""

    STARTING = "starting"
    """Not announced yet: it has not proved itself."""
    ANNOUNCED = "announced"
    DEPREFERRED = "depreferred"
    """Announced with a longer path and the graceful-shutdown community: callers come where they have no other way."""
    WITHDRAWN = "withdrawn"
    """Not announced because of load."""
    FENCED = "fenced"
    """Not announced because it is broken."""
    HELD = "held"
    """Not announced because an operator says so."""


ANNOUNCING: Final = frozenset({State.ANNOUNCED, State.DEPREFERRED})
"""The states in which neighbors hear the service prefix."""
