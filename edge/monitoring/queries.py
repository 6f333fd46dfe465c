"""Expressions of dashboards: rates and quantiles of what was chosen at their top.

``$site`` and ``$node`` stand for the chosen ones, and for all of them until then; ``$__rate_interval`` is Grafana's.
"""

from __future__ import annotations

from typing import Final

from edge.monitoring.panel import Query
from edge.monitoring.promql import of
from edge.runtime.metric_table import Histogram, Metric

RATE: Final = "$__rate_interval"
IN_SITES: Final = 'site=~"$site"'
ALERTS: Final = 'ALERTS{alertname=~"Edge.+"}'
OF_NODES: Final = 'site=~"$site", node=~"$node"'


def here(name: str, where: str = IN_SITES) -> str:
    """A selector, or the name of a recorded series, of what was chosen only."""
    return f"{name[:-1]}, {where}}}" if name.endswith("}") else f"{name}{{{where}}}"


def rate(metric: Metric, by: str, where: str = IN_SITES, **labels: str) -> str:
    return f"sum by ({by}) (rate({here(of(metric, **labels), where)}[{RATE}]))"


def hourly(metric: Metric, by: str, where: str = IN_SITES) -> str:
    """How often in the last hour: for what is rare, of which a rate shows nothing."""
    return f"sum by ({by}) (increase({here(of(metric), where)}[1h]))"


def quantile(share: float, histogram: Histogram, by: str = "site", where: str = IN_SITES) -> str:
    buckets = f"sum by ({by}, le) (rate({here(of(histogram, 'bucket'), where)}[{RATE}]))"
    return f"histogram_quantile({share:g}, {buckets})"


def quantiles(histogram: Histogram, by: str = "site", where: str = IN_SITES) -> tuple[Query, ...]:
    who = "{{site}}" if by == "site" else "{{node}}"
    return (
        Query(quantile(0.5, histogram, by, where), f"{who} half"),
        Query(quantile(0.95, histogram, by, where), f"{who} 95 %"),
    )
