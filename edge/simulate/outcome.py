"""What came of one policy, as it is reported: totals, and a line for each picture. Pure.

Every number is rounded here, to what it can mean, so that a report is the same text wherever it is made.
"""

from __future__ import annotations

import msgspec


class Calls(msgspec.Struct, frozen=True):
    """offered = carried + refused + unanswered + no_route + redialling at the end."""

    offered: float
    """Callers who wanted a call, each counted once, however often they dial."""
    carried: float
    refused: float
    """Turned away by nodes that were full or shedding, for good."""
    unanswered: float
    """Sent to a node that was dead, broken or cut off."""
    no_route: float
    """No site was announced, as far as their network knew."""
    redialling: float
    dropped_ratio: float
    """(refused + unanswered + no_route) / offered"""
    away_ratio: float
    """Carried by another site than the first choice / carried."""
    cut: float
    """Calls in progress that ended with their node."""


class Dark(msgspec.Struct, frozen=True):
    """Nobody announces: for the whole service, and for the population that was dark for longest."""

    service_s: float
    worst_population_s: float
    worst_population: str
    ratio: float
    """Time x population without any route / all, by calls at the peak."""


class Routing(msgspec.Struct, frozen=True):
    """What the networks saw."""

    updates: int
    """Changes of any node's route."""
    withdrawals: int
    worst_updates: int
    """Of one node."""
    worst_site: str
    suppressed_nodes: int
    """Nodes whose route was suppressed by routers at any time."""
    suppressed_h: float
    """Their hours of suppression, added up."""
    catchment_changes: float
    """How often a population reached another site than before, on average."""


class Load(msgspec.Struct, frozen=True):
    """Pressure is a fraction of capacity."""

    peak_pressure: float
    overloaded_h: float
    """Node hours with pressure at or above the high threshold."""


class Series(msgspec.Struct, frozen=True):
    """What is drawn: one value for each of ``hours``, the ends of equal spans of time."""

    hours: list[float]
    plain: list[float]
    depreferred: list[float]
    """Sites so announced and reachable / all sites."""
    pressure_median: list[float]
    pressure_95: list[float]
    pressure_max: list[float]
    dropped_ratio: list[float]
    dark_ratio: list[float]
    """Callers without a route / all."""
    service_dark: list[float]
    """The part of the time in which nobody announced."""


class Outcome(msgspec.Struct, frozen=True):
    policy: str
    calls: Calls
    dark: Dark
    routing: Routing
    load: Load
    series: Series


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The published document."""

    apiVersion: str = "edge/v1"  # noqa: N815 - as in all documents of this project
    kind: str = "Simulation"
    title: str
    about: str
    seed: int
    hours: float
    step_s: float
    sites: int
    nodes: int
    populations: int
    capacity: float
    """Of all nodes, in calls."""
    offered_load: float
    """Calls that would be in progress if all were served / capacity; the mean over the time."""
    policies: list[Outcome]
