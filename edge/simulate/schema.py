"""What may stand in a simulation file: one struct a table, one field a key. Pure.

docs/reference/simulation.toml shows every key with its default. A value that may differ among the ``count``
members of a table is a number, or ``[low, high]`` to draw one for each of them. Times of the story are hours
(``_h``), those of the machinery seconds (``_s``).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec

from bgp.conf import Damping as DampingName
from bgp.params import PolicyParams
from edge.overload import OverloadParams

MAX_STEPS = 1_000_000
MAX_NODES = 20_000

Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_NODES)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
# Tuples of a fixed length beside a constrained number make msgspec 0.22 crash in the next garbage collection.
Drawn = NotNegative | Annotated[tuple[NotNegative, ...], msgspec.Meta(min_length=2, max_length=2)]
"""A number, or the least and the greatest of those to draw from."""
Position = Annotated[tuple[float, ...], msgspec.Meta(min_length=2, max_length=2)]
"""Degrees north and east."""
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
"""Names or patterns with ``*``, of sites or of populations."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The common base: immutable, and no key that nobody reads."""


class Calls(Table, frozen=True):
    """How long calls last, and what those do who are refused."""

    duration_s: Positive = 180.0
    """Mean; durations are exponential."""
    retry_ratio: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Of those who did not get through, how many dial again, each time."""
    retry_after_s: Positive = 10.0


class Site(Table, frozen=True):
    """One site, or ``count`` of them in a cloud of ``spread_deg`` around the position."""

    name: str
    capacity: Drawn | None = None
    """Calls that each of its nodes can carry."""
    planned_load: Drawn | None = None
    """Instead: its capacity is such that those who are nearest to it take up this part of it at their peaks."""
    nodes: Count = 1
    position: Position | None = None
    count: Count = 1
    spread_deg: NotNegative = 0.0

    def __post_init__(self) -> None:
        if (self.capacity is None) == (self.planned_load is None):
            raise ValueError("capacity: give either this or planned_load")
        _check_range("capacity", self.capacity, above_zero=True)
        _check_range("planned_load", self.planned_load, above_zero=True)
        _check_place(self.position, self.spread_deg)


class Population(Table, frozen=True):
    """Callers who are alike: where they are, when they call, and where the network takes them."""

    name: str
    calls: Drawn
    """In progress at the peak of the day, if all are served."""
    position: Position | None = None
    prefers: tuple[str, ...] = ()
    """Sites, nearest first as the network sees it; those not named follow by distance. Empty: all by distance."""
    count: Count = 1
    spread_deg: NotNegative = 0.0
    trough_ratio: Share = 1.0
    """The least of the day / its peak; 1 is the same load all day."""
    peak_hour: Annotated[float, msgspec.Meta(ge=0, lt=24)] = 20.0
    """Local time."""
    utc_offset_h: Annotated[float, msgspec.Meta(ge=-12, le=14)] | None = None
    """Default: by the sun, from the position."""
    convergence_s: Drawn = 10.0
    """How long until its networks have followed a change of a route."""
    deaf_ratio: Share = 0.0
    """The part of it behind networks whose local preference overrules prepends and communities."""

    def __post_init__(self) -> None:
        _check_range("calls", self.calls, above_zero=False)
        _check_range("convergence_s", self.convergence_s, above_zero=False)
        _check_place(self.position, self.spread_deg)
        if not self.prefers and self.position is None:
            raise ValueError("prefers: name sites, or give the population a position")


class Surge(Table, frozen=True):
    """More calls, for a while: the rate is multiplied, after a linear ramp and until a like one."""

    populations: Names
    start_h: NotNegative
    lasts_h: Positive
    factor: NotNegative
    ramp_h: NotNegative = 0.0


class Event(Table, frozen=True):
    """Something that happens to sites.

    site-down: the nodes are gone with their calls; the route stays until the hold time has run out.
    broken:    the nodes' self-probes fail; whoever comes is not answered, calls in progress are lost.
    link-flap: the route is lost ``down_s`` out of every ``every_s``; callers on their way are not answered, calls
               in progress go on, their unicast addresses have another way.
    view-lost: the nodes hear nothing of the others.
    """

    kind: Literal["site-down", "broken", "link-flap", "view-lost"]
    sites: Names
    start_h: NotNegative
    lasts_h: Positive
    every_s: Positive = 120.0
    down_s: Positive = 30.0

    def __post_init__(self) -> None:
        if self.down_s >= self.every_s:
            raise ValueError("down_s: must be less than every_s, or the route never comes back")


class Damping(Table, frozen=True):
    """What routers beyond the nodes do to a route that flaps, and what the nodes' ledgers expect of them."""

    routers: DampingName = "cisco"
    ledger: DampingName = "cisco"


class Network(Table, frozen=True):
    """What the nodes' own network takes its time for."""

    view_delay_s: NotNegative = 1.0
    """From a change on one node until the others know of it; the least is one step."""
    hold_time_s: NotNegative = 9.0
    """From the death of a node until its route is gone."""


class SimulationFile(Table, frozen=True):
    """The whole file."""

    title: str
    hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 31)]
    sites: Annotated[tuple[Site, ...], msgspec.Meta(min_length=1)]
    populations: Annotated[tuple[Population, ...], msgspec.Meta(min_length=1)]
    about: str = ""
    start_hour: Annotated[float, msgspec.Meta(ge=0, lt=24)] = 0.0
    """UTC at the beginning."""
    step_s: Annotated[float, msgspec.Meta(ge=1, le=30)] = 5.0
    calls: Calls = Calls()
    surges: tuple[Surge, ...] = ()
    events: tuple[Event, ...] = ()
    damping: Damping = Damping()
    network: Network = Network()
    policy: PolicyParams = PolicyParams()
    """Of `ours`; the keys are those of a node's file."""
    overload: OverloadParams = OverloadParams()

    def __post_init__(self) -> None:
        site_names = _unique("sites", [(site.name, site.count) for site in self.sites])
        population_names = _unique("populations", [(some.name, some.count) for some in self.populations])
        if sum(site.count * site.nodes for site in self.sites) > MAX_NODES:
            raise ValueError(f"sites: more than {MAX_NODES} nodes; take fewer, or fewer on each site")
        if self.hours * 3600 / self.step_s > MAX_STEPS:
            raise ValueError(f"hours: more than {MAX_STEPS} steps; simulate less, or take a longer step_s")
        for population in self.populations:
            _check_known("populations", population.prefers, site_names)
        for surge in self.surges:
            _check_known("surges", surge.populations, population_names)
        for event in self.events:
            _check_known("events", event.sites, site_names)


def members(name: str, count: int) -> list[str]:
    """The names of the members of a table: ``name``, or ``name-1`` to ``name-<count>``."""
    return [name] if count == 1 else [f"{name}-{index}" for index in range(1, count + 1)]


def matching(patterns: tuple[str, ...], names: list[str]) -> list[int]:
    """Indices of the names that match any of the patterns, in the order of the patterns."""
    found = [index for pattern in patterns for index, name in enumerate(names) if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(found))


def _unique(key: str, tables: list[tuple[str, int]]) -> list[str]:
    names = [member for name, count in tables for member in members(name, count)]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{key}: {twice!r} is there twice; give each a name of its own")
    return names


def _check_known(key: str, patterns: tuple[str, ...], names: list[str]) -> None:
    for pattern in patterns:
        if not matching((pattern,), names):
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise ValueError(f"{key}: nothing is called {pattern!r}; there are {some}")


def _check_range(key: str, value: Drawn | None, *, above_zero: bool) -> None:
    if value is None:
        return
    low, high = value if isinstance(value, tuple) else (value, value)
    if low > high:
        raise ValueError(f"{key}: [{low:g}, {high:g}] begins above its end")
    if above_zero and low == 0:
        raise ValueError(f"{key}: must be more than 0")


def _check_place(position: Position | None, spread_deg: float) -> None:
    if position is None:
        if spread_deg:
            raise ValueError("spread_deg: needs a position to spread around")
    elif abs(position[0]) > 90 or abs(position[1]) > 180:
        raise ValueError("position: degrees north (-90 to 90) and degrees east (-180 to 180)")
