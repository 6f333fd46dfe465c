"""Recording rules that alerts and dashboards have in common: who announces, where, and what is left of it."""

from __future__ import annotations

from typing import Final

from edge.monitoring.promql import FLEET, NODE, SITE, of
from edge.monitoring.rule import Group, Record
from edge.runtime import metric_table as metric

OUT: Final = ("announced", "depreferred")

_HEARD = f"max by ({NODE}) ({of(metric.BGP_NEIGHBOR_UP, role='upstream')})"
_TOLD = f"max by ({NODE}) ({of(metric.ROUTE_STATE, state=OUT)})"
# By the look of a prefix, which sessions carry it.
_FAMILIES = (("ipv4", "[0-9./]+"), ("ipv6", ".*:.*"))
_DECIDED = f"max by ({NODE}) ({of(metric.POLICY_STATE, state=OUT)})"


def _announcing_prefix(family: str, look: str) -> str:
    told = f"max by ({NODE}, prefix) ({of(metric.ROUTE_STATE, prefix=(look,), state=OUT)})"
    carrying = of(metric.BGP_NEIGHBOR_UP, role="upstream", carries=(family, "both"))
    # A node with upstreams, none of which carries it, tells nobody.
    heard = f"(max by ({NODE}) ({carrying}) or 0 * {_HEARD})"
    return f"sum by ({FLEET}, prefix) ({told} * on ({NODE}) group_left () {heard})"


ANNOUNCING: Final = Record(
    name="node:edge_announcing:max",
    # A route that no upstream hears is none. A node without BGP, behind a balancer, is where its policy says.
    expr=f"{_TOLD} * on ({NODE}) {_HEARD}\nor {_DECIDED}",
)
ANNOUNCING_IN_SITE: Final = Record(
    name="site:edge_announcing_nodes:sum", expr=f"sum by ({SITE}) ({ANNOUNCING.name})"
)
ANNOUNCING_IN_FLEET: Final = Record(
    name="fleet:edge_announcing_nodes:sum", expr=f"sum by ({FLEET}) ({ANNOUNCING.name})"
)
ANNOUNCING_PREFIX: Final = Record(
    name="prefix:edge_announcing_nodes:sum",
    expr="\nor ".join(_announcing_prefix(family, look) for family, look in _FAMILIES),
)
PRESSURE: Final = Record(name="node:edge_pressure:max", expr=f"max by ({NODE}) ({of(metric.PRESSURE)})")
CALLS: Final = Record(name="site:edge_calls:sum", expr=f"sum by ({SITE}) ({of(metric.CALLS)})")

LEVELS: Final = Group(
    "edge-levels",
    (ANNOUNCING, ANNOUNCING_IN_SITE, ANNOUNCING_IN_FLEET, ANNOUNCING_PREFIX, PRESSURE, CALLS),
)
