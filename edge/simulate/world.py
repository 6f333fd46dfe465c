"""From a simulation file to arrays: every site, node and population, and who is near whom. Pure.

Rows are numbered in the order of the file. Whatever is drawn is drawn here, once, so that every policy meets
the same world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.simulate.schema import Drawn, Population, SimulationFile, Site, matching, members

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

HOUR_S: Final = 3600.0
DEGREES_PER_HOUR: Final = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """``S`` sites, ``N`` nodes, ``P`` populations."""

    site_names: list[str]
    node_site: Ints
    """[N] the site of each node; ascending, so that the nodes of a site are neighbours."""
    capacity: Floats
    """[N] in calls."""
    population_names: list[str]
    peak_calls: Floats
    """[P] in progress at the peak of the day."""
    trough_ratio: Floats
    peak_utc_h: Floats
    convergence_s: Floats
    deaf_ratio: Floats
    """[P] see `edge.simulate.schema.Population`."""
    ranking: Ints
    """[P, S] the sites as each population prefers them, first choice first."""

    @property
    def sites(self) -> int:
        return len(self.site_names)

    @property
    def nodes(self) -> int:
        return len(self.node_site)

    @property
    def populations(self) -> int:
        return len(self.population_names)


def build(file: SimulationFile, dice: np.random.Generator) -> World:
    """Draw what is to be drawn. The same file and dice of the same seed make the same world."""
    sites, groups = file.sites, file.populations
    site_names = [name for site in sites for name in members(site.name, site.count)]
    site_places, places = _places(sites, dice), _places(groups, dice)
    peak_calls = _drawn([(group.calls, group.count) for group in groups], dice)
    ranking = _ranking(groups, places, site_names, site_places)
    nodes = _each(sites, [site.nodes for site in sites])
    catchment = np.bincount(ranking[:, 0], weights=peak_calls, minlength=len(site_names))
    return World(
        site_names=site_names,
        node_site=np.repeat(np.arange(len(site_names)), nodes),
        capacity=np.repeat(_capacities(sites, catchment / nodes, dice), nodes),
        population_names=[name for group in groups for name in members(group.name, group.count)],
        peak_calls=peak_calls,
        trough_ratio=_each(groups, [group.trough_ratio for group in groups]),
        peak_utc_h=_peak_utc_h(groups, places),
        convergence_s=_drawn([(group.convergence_s, group.count) for group in groups], dice),
        deaf_ratio=_each(groups, [group.deaf_ratio for group in groups]),
        ranking=ranking,
    )


def _capacities(sites: Sequence[Site], share: Floats, dice: np.random.Generator) -> Floats:
    """[S] of each node, in whole calls; ``share`` is what each node has to carry of its site's own catchment."""
    given = _drawn([(site.capacity or 0.0, site.count) for site in sites], dice)
    planned = _drawn([(site.planned_load or 1.0, site.count) for site in sites], dice)
    is_planned = _each(sites, [site.capacity is None for site in sites])
    # Where nobody is nearest, somebody still built a site of the usual size.
    usual = float(np.median(share[share > 0])) if (share > 0).any() else 1.0
    capacity = np.where(is_planned, np.where(share > 0, share, usual) / planned, given)
    return np.maximum(np.round(capacity), 1.0)


def _each(tables: Sequence[Site | Population], values: Sequence[float]) -> NDArray[Any]:
    """One value a table, repeated for its members."""
    return np.repeat(np.array(values), [table.count for table in tables])


def _drawn(values: Sequence[tuple[Drawn, int]], dice: np.random.Generator) -> Floats:
    ranges = [(value if isinstance(value, tuple) else (value, value), count) for value, count in values]
    return np.concatenate([dice.uniform(low, high, count) for (low, high), count in ranges])


def _places(tables: Sequence[Site | Population], dice: np.random.Generator) -> Floats:
    """[members, 2] degrees north and east; not a number where the file gives no position."""
    clouds = []
    for table in tables:
        centre = (np.nan, np.nan) if table.position is None else table.position
        cloud = np.array(centre) + dice.normal(0.0, 1.0, (table.count, 2)) * table.spread_deg
        cloud[:, 0] = np.clip(cloud[:, 0], -90.0, 90.0)
        clouds.append(cloud)
    return np.concatenate(clouds)


def _peak_utc_h(groups: Sequence[Population], places: Floats) -> Floats:
    by_sun = np.nan_to_num(places[:, 1]) / DEGREES_PER_HOUR
    given = _each(groups, [np.nan if group.utc_offset_h is None else group.utc_offset_h for group in groups])
    offset = np.where(np.isnan(given), by_sun, given)
    return _each(groups, [group.peak_hour for group in groups]) - offset


def _ranking(
    groups: Sequence[Population], places: Floats, site_names: list[str], site_places: Floats
) -> Ints:
    """Named sites first, then the rest by distance (those without a position last, in the order of the file)."""
    distance = np.nan_to_num(_distance(places, site_places), nan=np.inf)
    first = 0
    for group in groups:
        for place, site in enumerate(matching(group.prefers, site_names)):
            distance[first : first + group.count, site] = place - len(site_names)
        first += group.count
    return np.argsort(distance, axis=1, kind="stable").astype(np.int32)


def _distance(from_places: Floats, to_places: Floats) -> Floats:
    """[from, to] great-circle angle in radians, by the haversine formula."""
    north, east = np.radians(from_places).T[:, :, None]
    to_north, to_east = np.radians(to_places).T[:, None, :]
    half = np.sin((to_north - north) / 2) ** 2
    half = half + np.cos(north) * np.cos(to_north) * np.sin((to_east - east) / 2) ** 2
    angle: Floats = 2 * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return angle
