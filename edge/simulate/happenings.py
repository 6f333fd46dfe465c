"""What happens to sites, step by step: who is dead, broken, cut off, or hears nothing. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.simulate.schema import Event, SimulationFile, matching
from edge.simulate.world import HOUR_S, Bools, World


class Conditions(NamedTuple):
    """[N] each; see `edge.simulate.schema.Event`."""

    dead: Bools
    broken: Bools
    cut: Bools
    lost: Bools


_FIELDS = {"site-down": "dead", "broken": "broken", "link-flap": "cut", "view-lost": "lost"}


class Happenings:
    """The events of a file. Most steps are like the one before, and then so is the answer."""

    def __init__(self, file: SimulationFile, world: World) -> None:
        self._events = [
            (event, np.isin(world.node_site, matching(event.sites, world.site_names)))
            for event in file.events
        ]
        self._nodes = world.nodes
        self._active: tuple[bool, ...] = ()
        self._conditions = self._combined()

    def at(self, t_s: float) -> Conditions:
        """How things stand in the step that begins at ``t_s``."""
        active = tuple(_strikes(event, t_s) for event, _ in self._events)
        if active != self._active:
            self._active = active
            self._conditions = self._combined()
        return self._conditions

    def _combined(self) -> Conditions:
        found = {field: np.zeros(self._nodes, dtype=np.bool_) for field in Conditions._fields}
        for (event, nodes), strikes in zip(self._events, self._active, strict=False):
            if strikes:
                found[_FIELDS[event.kind]] |= nodes
        return Conditions(**found)


def _strikes(event: Event, t_s: float) -> bool:
    since = t_s - event.start_h * HOUR_S
    if not 0 <= since < event.lasts_h * HOUR_S:
        return False
    return event.kind != "link-flap" or since % event.every_s < event.down_s
