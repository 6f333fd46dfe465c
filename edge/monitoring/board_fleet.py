"""The first dashboard to open: whether the service is there, everywhere, and how much room is left."""

from __future__ import annotations

from typing import Final

from edge.monitoring.levels import ANNOUNCING_IN_SITE, CALLS, PRESSURE
from edge.monitoring.objectives import OBJECTIVES
from edge.monitoring.panel import Board, Panel, Query, Row
from edge.monitoring.promql import UP, of
from edge.monitoring.queries import ALERTS, here, hourly, rate
from edge.runtime import metric_table as metric

FLEET_BOARD: Final = Board(
    uid="edge-fleet",
    title="Edge: fleet",
    says="Is the service there, everywhere, and how much room is left?",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    title="Alerts",
                    says="What fires, or is about to. Each has a runbook.",
                    queries=(Query(f"count by (alertname, severity, alertstate) ({ALERTS})"),),
                    kind="table",
                    width=8,
                ),
                Panel(
                    title="Nodes that announce",
                    says="By site. A site with 0 is dark: its callers are served elsewhere.",
                    queries=(Query(here(ANNOUNCING_IN_SITE.name), "{{site}}"),),
                    kind="number",
                    width=8,
                ),
                Panel(
                    title="Calls",
                    says="That are up, by site.",
                    queries=(Query(here(CALLS.name), "{{site}}"),),
                    kind="number",
                    width=8,
                ),
            ),
        ),
        Row(
            "Room",
            (
                Panel(
                    title="Calls by site",
                    says="A site that falls while another rises has lost its callers to it.",
                    queries=(Query(here(CALLS.name), "{{site}}"),),
                    kind="stacked",
                    width=8,
                ),
                Panel(
                    title="Pressure",
                    says="The worst signal of each node; 1 is all it can do. From 0.85 on newcomers are sent back.",
                    queries=(Query(here(PRESSURE.name), "{{node}}"),),
                    unit="percentunit",
                    most=0.85,
                ),
                Panel(
                    title="Refused",
                    says="New connections per second that were told that the node is full.",
                    queries=(Query(rate(metric.REFUSED, "site"), "{{site}}"),),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "Promises",
            tuple(
                Panel(
                    title=objective.summary,
                    says=f"The share of bad events in 5 minutes; {objective.budget:.1%} is as promised.",
                    queries=(Query(here(objective.record_name("5m")), "{{site}}"),),
                    unit="percentunit",
                    width=6,
                    most=14.4 * objective.budget,
                )
                for objective in OBJECTIVES
            ),
        ),
        Row(
            "Upkeep",
            (
                Panel(
                    title="Nodes up",
                    says="Whether Prometheus reaches them.",
                    queries=(Query(here(UP), "{{node}}"),),
                    unit="bool",
                    kind="states",
                ),
                Panel(
                    title="Versions",
                    says="One, but during an upgrade.",
                    queries=(Query(f"count by (version) ({here(of(metric.BUILD_INFO))})", "{{version}}"),),
                ),
                Panel(
                    title="Certificates expire",
                    says="The first at each site; an alert tells in time.",
                    queries=(
                        Query(f"min by (site) ({here(of(metric.CERTIFICATE_EXPIRY))}) * 1000", "{{site}}"),
                    ),
                    unit="dateTimeFromNow",
                    kind="number",
                ),
                Panel(
                    title="Key rings",
                    says="The version that each node uses: one, but during a rotation; 0 while its workers differ.",
                    queries=(Query(here(of(metric.KEYS_VERSION)), "{{node}}"),),
                ),
                Panel(
                    title="Keys in use were made",
                    says="Twice a year is due: `edgectl keys rotate`.",
                    queries=(Query(f"min by (site) ({here(of(metric.KEYS_CREATED))}) * 1000", "{{site}}"),),
                    unit="dateTimeFromNow",
                    kind="number",
                ),
                Panel(
                    title="Connections by generation of keys",
                    says="A generation can be dropped once no connection has it.",
                    queries=(
                        Query(
                            f"sum by (generation) ({here(of(metric.CONNECTIONS_OF_KEYS))})", "{{generation}}"
                        ),
                    ),
                    kind="stacked",
                ),
                Panel(
                    title="Alike",
                    says="How many versions there are of what all nodes must have alike: one of each part.",
                    queries=(
                        Query(
                            f"count by (part) (count by (part, hash) ({here(of(metric.ALIKE_INFO))}))",
                            "{{part}}",
                        ),
                    ),
                    most=2,
                ),
                Panel(
                    title="Drains",
                    says="How far nodes are with being emptied.",
                    queries=(Query(f"{here(of(metric.DRAIN_PHASE))} == 1", "{{node}} {{phase}}"),),
                    kind="states",
                ),
                Panel(
                    title="What became of drained calls",
                    says="In an hour. Moved is as it should be; closed and lost are calls that ended for it.",
                    queries=(Query(hourly(metric.HANDOVERS_DONE, "site, outcome"), "{{site}} {{outcome}}"),),
                ),
            ),
        ),
    ),
)
