"""One node: what it does, and what it would run out of first."""

from __future__ import annotations

from typing import Final

from edge.monitoring.panel import Board, Panel, Query, Row
from edge.monitoring.promql import of
from edge.monitoring.queries import OF_NODES, here, hourly, quantiles, rate
from edge.runtime import metric_table as metric

NODE_BOARD: Final = Board(
    uid="edge-node",
    title="Edge: node",
    says="What one node does, and what it would run out of first.",
    per_node=True,
    rows=(
        Row(
            "Load",
            (
                Panel(
                    title="Pressure by signal",
                    says="The highest line is what the node runs out of first.",
                    queries=(Query(here(of(metric.PRESSURE), OF_NODES), "{{node}} {{signal}}"),),
                    unit="percentunit",
                    most=0.85,
                ),
                Panel(
                    title="Calls",
                    says="By what they run on. Many WebSockets: does UDP reach the node?",
                    queries=(Query(here(of(metric.CALLS), OF_NODES), "{{node}} {{carrier}}"),),
                    kind="stacked",
                ),
                Panel(
                    title="Connections",
                    says="Those that stay on the anycast address follow the routes: there should be few.",
                    queries=(Query(here(of(metric.CONNECTIONS), OF_NODES), "{{node}} {{outcome}}"),),
                    kind="stacked",
                ),
                Panel(
                    title="Event loops",
                    says="How late the worst worker was in the last interval. A frame of audio is 20 ms.",
                    queries=(Query(here(of(metric.LOOP_LAG), OF_NODES), "{{node}}"),),
                    unit="s",
                    most=0.1,
                ),
                Panel(
                    title="Admission",
                    says="How newcomers are treated.",
                    queries=(
                        Query(f"{here(of(metric.ADMISSION_STATE), OF_NODES)} == 1", "{{node}} {{state}}"),
                    ),
                    kind="states",
                ),
                Panel(
                    title="Workers",
                    says="One for each core; others beside them while a reload goes on.",
                    queries=(Query(here(of(metric.WORKERS), OF_NODES), "{{node}} {{standing}}"),),
                ),
            ),
        ),
        Row(
            "Newcomers",
            (
                Panel(
                    title="Handshakes",
                    says="Initials that ask for one, how those ended that were begun, and what was sent back to prove its"
                    " address.",
                    queries=(
                        Query(rate(metric.INITIALS, "node", OF_NODES), "{{node}} asked for"),
                        Query(rate(metric.HANDSHAKES, "node, result", OF_NODES), "{{node}} {{result}}"),
                        Query(rate(metric.RETRIES, "node", OF_NODES), "{{node}} retry"),
                    ),
                    unit="cps",
                ),
                Panel(
                    title="Refused",
                    says="Because the node is full, or because their address has its share already.",
                    queries=(
                        Query(rate(metric.REFUSED, "node", OF_NODES), "{{node}} node full"),
                        Query(rate(metric.CROWDED, "node", OF_NODES), "{{node}} address full"),
                    ),
                    unit="cps",
                ),
                Panel(
                    title="Chance of being refused",
                    says="Of a newcomer, by the node's load: above 0 callers go elsewhere, or away.",
                    queries=(Query(here(of(metric.REFUSE_PROBABILITY), OF_NODES), "{{node}}"),),
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Packets",
            (
                Panel(
                    title="Datagrams",
                    says="Both ways; a call takes about 70 a second.",
                    queries=(
                        Query(rate(metric.DATAGRAMS_RECEIVED, "node", OF_NODES), "{{node}} received"),
                        Query(rate(metric.DATAGRAMS_SENT, "node", OF_NODES), "{{node}} sent"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Lost here",
                    says="By a receive buffer that was full, or because they could not be sent.",
                    queries=(
                        Query(rate(metric.SOCKET_DROPS, "node", OF_NODES), "{{node}} buffer full"),
                        Query(rate(metric.DATAGRAMS_UNSENT, "node, reason", OF_NODES), "{{node}} {{reason}}"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Turned away unread",
                    says="Packets that belong to no connection, or are too many: a scan, an attack, or a stale route.",
                    queries=(
                        Query(rate(metric.PACKETS_DROPPED, "node, reason", OF_NODES), "{{node}} {{reason}}"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Passed on",
                    says="Packets that reached another node or worker than the one that has their call.",
                    queries=(
                        Query(rate(metric.PACKETS_MISROUTED, "node", OF_NODES), "{{node}} came astray"),
                        Query(
                            rate(metric.FORWARDED, "node, kind, direction", OF_NODES),
                            "{{node}} {{kind}} {{direction}}",
                        ),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Not passed on",
                    says="unknown_owner: the list of members lacks a node. forged, replayed: somebody tries.",
                    queries=(
                        Query(rate(metric.FORWARD_DROPPED, "node, reason", OF_NODES), "{{node}} {{reason}}"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Answered without a connection",
                    says="Resets go to callers of a connection that is gone; version negotiation to scanners, mostly.",
                    queries=(
                        Query(rate(metric.STATELESS_RESETS, "node", OF_NODES), "{{node}} reset"),
                        Query(rate(metric.VERSION_NEGOTIATIONS, "node", OF_NODES), "{{node}} version"),
                    ),
                    unit="pps",
                ),
            ),
        ),
        Row(
            "Health",
            (
                Panel(
                    title="Self-probes",
                    says="Handshakes of the node with itself; a few failures and it withdraws.",
                    queries=(
                        Query(rate(metric.SELF_PROBES, "node, result", OF_NODES), "{{node}} {{result}}"),
                    ),
                    unit="cps",
                ),
                Panel(
                    title="How long they take",
                    says="The node's own handshake: what callers wait for, without their network.",
                    queries=quantiles(metric.SELF_PROBE_DURATION, "node", OF_NODES),
                    unit="s",
                ),
                Panel(
                    title="What broke",
                    says="In an hour. A worker that died took its calls with it, and they came back by themselves; the engine"
                    " ends only the connection that it fails on. There should be none of either.",
                    queries=(
                        Query(hourly(metric.WORKER_RESTARTS, "node", OF_NODES), "{{node}} workers died"),
                        Query(hourly(metric.ENGINE_ERRORS, "node", OF_NODES), "{{node}} engine failed"),
                    ),
                ),
            ),
        ),
        Row(
            "Upkeep",
            (
                Panel(
                    title="Started",
                    says="A node that was started a moment ago, and nobody knows why, has died.",
                    queries=(Query(f"{here(of(metric.START), OF_NODES)} * 1000", "{{node}}"),),
                    unit="dateTimeFromNow",
                    kind="number",
                ),
                Panel(
                    title="Configuration",
                    says="The hash of the file that each node runs with; `edgectl config diff` says what differs.",
                    queries=(Query(f"count by (node, hash) ({here(of(metric.CONFIG_INFO), OF_NODES)})"),),
                    kind="table",
                ),
                Panel(
                    title="An operator is about it",
                    says="Whether somebody has the lease; and whether an operation was left in the middle.",
                    queries=(
                        Query(here(of(metric.LEASE_HELD), OF_NODES), "{{node}} lease"),
                        Query(
                            here(of(metric.OPERATION_INTERRUPTED), OF_NODES), "{{node}} left in the middle"
                        ),
                    ),
                    unit="bool",
                    kind="states",
                ),
                Panel(
                    title="Files",
                    says="Whether the configuration is another than the node runs with; and how many of keys, fleet and"
                    " certificate it cannot use as they are now. There should be none.",
                    queries=(
                        Query(here(of(metric.CONFIG_CHANGED), OF_NODES), "{{node}} configuration changed"),
                        Query(here(of(metric.FILE_PROBLEMS), OF_NODES), "{{node}} cannot be used"),
                    ),
                    width=12,
                ),
                Panel(
                    title="Reloads",
                    says="In an hour, by whether the new workers came up.",
                    queries=(Query(hourly(metric.RELOADS, "node, result", OF_NODES), "{{node}} {{result}}"),),
                    width=12,
                ),
            ),
        ),
    ),
)
