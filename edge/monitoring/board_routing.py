"""Who announces what to whom, why, and what it has cost."""

from __future__ import annotations

from typing import Final

from edge.monitoring.levels import ANNOUNCING, ANNOUNCING_PREFIX
from edge.monitoring.panel import Board, Panel, Query, Row
from edge.monitoring.promql import of
from edge.monitoring.queries import here, hourly, quantiles
from edge.runtime import metric_table as metric

ROUTING_BOARD: Final = Board(
    uid="edge-routing",
    title="Edge: routing",
    says="Who announces what to whom, why, and what it has cost.",
    rows=(
        Row(
            "Who announces",
            (
                Panel(
                    title="Nodes that announce",
                    says="To an upstream that hears it.",
                    queries=(Query(here(ANNOUNCING.name), "{{node}}"),),
                    unit="bool",
                    kind="states",
                ),
                Panel(
                    title="By prefix",
                    says="A prefix with 0 cannot be reached.",
                    queries=(Query(ANNOUNCING_PREFIX.name, "{{prefix}}"),),
                ),
                Panel(
                    title="Where the policy stands",
                    says="In mode observe it may differ from what is announced.",
                    queries=(Query(f"{here(of(metric.POLICY_STATE))} == 1", "{{node}} {{state}}"),),
                    kind="states",
                ),
            ),
        ),
        Row(
            "What moves",
            (
                Panel(
                    title="Decisions",
                    says="Per hour. Neighbors that damp suppress who comes and goes.",
                    queries=(Query(hourly(metric.POLICY_DECISIONS, "node, state"), "{{node}} {{state}}"),),
                ),
                Panel(
                    title="Refused by guards",
                    says="Moves for load that were wanted, and what kept the node from them, per hour.",
                    queries=(Query(hourly(metric.GUARD_REFUSALS, "node, guard"), "{{node}} {{guard}}"),),
                ),
                Panel(
                    title="Damping",
                    says="What a neighbor's routers are supposed to have counted; they suppress at 2000 or more.",
                    queries=(
                        Query(
                            f"max by (node, neighbor) ({here(of(metric.FLAP_PENALTY))})",
                            "{{node}} {{neighbor}}",
                        ),
                    ),
                    most=2000,
                ),
            ),
        ),
        Row(
            "Sessions",
            (
                Panel(
                    title="BGP sessions",
                    says="Those with the fleet's reflectors tell of the other nodes; the others reach callers.",
                    queries=(Query(here(of(metric.BGP_NEIGHBOR_UP)), "{{node}} {{role}} {{neighbor}}"),),
                    unit="bool",
                    kind="states",
                    width=12,
                ),
                Panel(
                    title="Convergence",
                    says="From a change of our own route until every reflector was seen to know it.",
                    queries=quantiles(metric.CONVERGENCE),
                    unit="s",
                    width=6,
                ),
                Panel(
                    title="The speaker's slips",
                    says="Alarms, divergences and deaths in an hour: there should be none.",
                    queries=(
                        Query(hourly(metric.ECHO_ALARMS, "node"), "{{node}} alarms"),
                        Query(hourly(metric.ROUTE_DIVERGENCES, "node"), "{{node}} divergences"),
                        Query(hourly(metric.SPEAKER_RESTARTS, "node"), "{{node}} deaths"),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "The others",
            (
                Panel(
                    title="Sees the others",
                    says="1 while what the node knows of them can be relied on.",
                    queries=(Query(here(of(metric.VIEW_RELIABLE)), "{{node}}"),),
                    unit="bool",
                    kind="states",
                    width=6,
                ),
                Panel(
                    title="How old that is",
                    says="0 while it can be relied on.",
                    queries=(Query(here(of(metric.VIEW_AGE)), "{{node}}"),),
                    unit="s",
                    width=6,
                ),
                Panel(
                    title="How many they are",
                    says="Those that each node sees, by the state that they tell: sites that see different ones are cut off.",
                    queries=(Query(here(of(metric.VIEW_NODES)), "{{node}} {{state}}"),),
                    width=6,
                ),
                Panel(
                    title="Calls the others can take",
                    says="As each node sees it. Below what a site carries, that site cannot be lost.",
                    queries=(Query(here(of(metric.OTHERS_SPARE)), "{{node}}"),),
                    width=6,
                ),
            ),
        ),
    ),
)
