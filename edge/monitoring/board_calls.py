"""What callers hear, how long they wait, and in whose part of the way."""

from __future__ import annotations

from typing import Final

from edge.monitoring.objectives import HANDSHAKES, PLAYOUT, SPEECH, TURNS
from edge.monitoring.panel import Board, Panel, Query, Row
from edge.monitoring.promql import of
from edge.monitoring.queries import RATE, here, quantiles, rate
from edge.runtime import metric_table as metric

CALLS_BOARD: Final = Board(
    uid="edge-calls",
    title="Edge: call quality",
    says="What callers hear, how long they wait, and whose fault it is.",
    rows=(
        Row(
            "What they hear",
            (
                Panel(
                    title="Speech lost on its way here",
                    says="Of the callers' 20 ms frames, the share that did not come by its deadline.",
                    queries=(Query(here(SPEECH.record_name("5m")), "{{site}}"),),
                    unit="percentunit",
                    most=14.4 * SPEECH.budget,
                ),
                Panel(
                    title="Gaps in what callers hear",
                    says="Per second of speech, as callers report them.",
                    queries=(Query(here(PLAYOUT.record_name("5m")), "{{site}}"),),
                    unit="percentunit",
                    most=14.4 * PLAYOUT.budget,
                ),
                Panel(
                    title="Frames",
                    says="Heard from callers and said to them; 50 a second for each that speaks.",
                    queries=(
                        Query(rate(metric.FRAMES_HEARD, "site"), "{{site}} heard"),
                        Query(rate(metric.FRAMES_SAID, "site"), "{{site}} said"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Lost, and too late",
                    says="What came late was waited for too short: try a longer deadline.",
                    queries=(
                        Query(rate(metric.FRAMES_LOST, "site"), "{{site}} lost"),
                        Query(rate(metric.FRAMES_LATE, "site"), "{{site}} late"),
                    ),
                    unit="pps",
                ),
                Panel(
                    title="Callers cut off",
                    says="For what they did, by what they were told.",
                    queries=(Query(rate(metric.CALLERS_CUT, "site, reason"), "{{site}} {{reason}}"),),
                    unit="cps",
                ),
                Panel(
                    title="Came back, and continued",
                    says="Calls whose caller was gone and is here again, or that another worker or node had before.",
                    queries=(
                        Query(rate(metric.CALLS_RESUMED, "site"), "{{site}} came back"),
                        Query(rate(metric.CALLS_CONTINUED, "site"), "{{site}} continued"),
                    ),
                    unit="cps",
                ),
            ),
        ),
        Row(
            "How long they wait",
            (
                Panel(
                    title="From their last word to the first that they hear",
                    says="Below 0.5 s it feels immediate, above 1.5 s people speak again.",
                    queries=quantiles(metric.TURN_PLAYED),
                    unit="s",
                    width=6,
                    most=1.5,
                ),
                Panel(
                    title="To the first audio on the wire",
                    says="What is left of the above is the network, and the caller's own buffer.",
                    queries=quantiles(metric.TURN_WIRE),
                    unit="s",
                    width=6,
                ),
                Panel(
                    title="The backend's part",
                    says="To its first audio.",
                    queries=quantiles(metric.TURN_BACKEND),
                    unit="s",
                    width=6,
                ),
                Panel(
                    title="The edge's part",
                    says="Spent in the node: a few milliseconds.",
                    queries=quantiles(metric.TURN_EDGE),
                    unit="s",
                    width=6,
                    most=0.05,
                ),
                Panel(
                    title="Turns by duration",
                    says="As heard. Two bands are two kinds of turns, or two backends.",
                    queries=(
                        Query(
                            f"sum by (le) (increase({here(of(metric.TURN_PLAYED, 'bucket'))}[{RATE}]))",
                            "{{le}}",
                        ),
                    ),
                    kind="heatmap",
                    width=12,
                ),
                Panel(
                    title="Turns too slow",
                    says="The share above 1.5 s.",
                    queries=(Query(here(TURNS.record_name("5m")), "{{site}}"),),
                    unit="percentunit",
                    width=12,
                    most=14.4 * TURNS.budget,
                ),
            ),
        ),
        Row(
            "When they interrupt",
            (
                Panel(
                    title="Interruptions",
                    says="Per second.",
                    queries=(Query(rate(metric.BARGE_INS, "site"), "{{site}}"),),
                    unit="cps",
                ),
                Panel(
                    title="Until the wire is silent",
                    says="From the interruption, by half the caller's round trip.",
                    queries=quantiles(metric.CANCEL),
                    unit="s",
                ),
                Panel(
                    title="Sent and never played",
                    says="Bytes for each interruption: beyond 3 kB try a shorter lead.",
                    queries=(
                        Query(
                            f"{rate(metric.BARGE_IN_BYTES, 'site', fate='wasted')} / {rate(metric.BARGE_INS, 'site')}",
                            "{{site}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "How they get in",
            (
                Panel(
                    title="Handshakes that fail",
                    says="Some always do: scanners, and callers who give up.",
                    queries=(Query(here(HANDSHAKES.record_name("5m")), "{{site}}"),),
                    unit="percentunit",
                    most=14.4 * HANDSHAKES.budget,
                ),
                Panel(
                    title="Moved to the unicast address",
                    says="From then on routes do not touch the call.",
                    queries=(Query(rate(metric.MIGRATIONS, "site"), "{{site}}"),),
                    unit="cps",
                ),
                Panel(
                    title="TCP",
                    says="WebSockets and pages, by what became of their beginning.",
                    queries=(Query(rate(metric.TCP_CONNECTIONS, "site, result"), "{{site}} {{result}}"),),
                    unit="cps",
                ),
            ),
        ),
    ),
)
