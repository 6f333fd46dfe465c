"""Alerts about single nodes, and about whoever watches them."""

from __future__ import annotations

from typing import Final

from edge.monitoring.levels import PRESSURE
from edge.monitoring.promql import FLEET, NODE, SITE, UP, of
from edge.monitoring.rule import Alert, Group
from edge.runtime import metric_table as metric

_PROBES_FAILED = f"sum by ({NODE}) (rate({of(metric.SELF_PROBES, result='failed')}[5m]))"
_PROBES = f"sum by ({NODE}) (rate({of(metric.SELF_PROBES)}[5m]))"
_DROPS = f"sum by ({NODE}) (rate({of(metric.SOCKET_DROPS)}[5m]))"
_RECEIVED = f"sum by ({NODE}) (rate({of(metric.DATAGRAMS_RECEIVED)}[5m]))"
# A drained node refuses its own handshakes, too; and who has had his share is not refused because it is full.
_DRAINED = f"max by ({NODE}) ({of(metric.ADMISSION_STATE, state='draining')} == 1)"
_REFUSED_BY_NODE = (
    f"(sum by ({NODE}) (rate({of(metric.REFUSED)}[5m])) - sum by ({NODE}) (rate({of(metric.CROWDED)}[5m])))"
)
_REFUSED = f"sum by ({SITE}) ({_REFUSED_BY_NODE} unless on ({NODE}) {_DRAINED})"
_NEWCOMERS = f"sum by ({SITE}) (rate({of(metric.INITIALS)}[5m]))"
_ADDED = f"sum by ({SITE}, le) (rate({of(metric.TURN_EDGE, 'bucket')}[10m]))"
# A node that nobody is sent to has no room for others.
_OUT_OF_USE = of(metric.POLICY_STATE, state=("held", "fenced", "starting"))
_IN_USE = f"({PRESSURE.name} unless on ({NODE}) max by ({NODE}) ({_OUT_OF_USE}) == 1)"
UNFINISHED: Final = ("withdrawing", "settling", "handing-over", "closing")

WATCHDOG: Final = Alert(
    name="EdgeWatchdog",
    severity="none",
    expr="vector(1)",
    wait="0s",
    because="It always fires. Have something outside raise the alarm when it ceases to arrive: then nobody is watching.",
    summary="Alerting works",
    description="This alert is always there; when it is not, nothing else would arrive either.",
)
NO_TARGETS: Final = Alert(
    name="EdgeNoTargets",
    severity="critical",
    expr=f"absent({UP})",
    wait="5m",
    because="Prometheus knows of no node, so no other alert can fire. Discovery that restarts is back within 5 minutes.",
    summary="No node is watched",
    description='Prometheus has no target in the job "edge": discovery gives none.',
)
NODE_DOWN: Final = Alert(
    name="EdgeNodeDown",
    severity="warning",
    expr=f"{UP} == 0",
    wait="2m",
    because="Its routes are gone with it and others serve: nobody is called unless the site is dark. A restart takes less"
    " than 2 minutes.",
    summary="{{ $labels.node }} does not answer",
    description="{{ $labels.node }} at {{ $labels.site }} ({{ $labels.instance }}) has not been scraped for 2 minutes.",
)
SELF_PROBE_FAILING: Final = Alert(
    name="EdgeSelfProbeFailing",
    severity="warning",
    expr=f"{_PROBES_FAILED} / {_PROBES} > 0.5",
    wait="2m",
    because="The node has withdrawn for it, and callers are elsewhere. One in two over 5 minutes is no hiccup.",
    summary="{{ $labels.node }} does not answer itself",
    description="{{ $value | humanizePercentage }} of the handshakes of {{ $labels.node }} with itself failed.",
)
WORKER_RESTARTS: Final = Alert(
    name="EdgeWorkerRestarts",
    severity="warning",
    expr=f"sum by ({NODE}) (increase({of(metric.WORKER_RESTARTS)}[15m])) > 0",
    wait="0s",
    because="A worker that dies takes its calls with it, and they come back by themselves: a defect, but no outage. The"
    " window is the wait.",
    summary="A worker of {{ $labels.node }} died",
    description='{{ $value | printf "%.0f" }} workers of {{ $labels.node }} died within 15 minutes and were replaced.',
)
NODE_RESTARTS: Final = Alert(
    name="EdgeNodeRestarts",
    severity="warning",
    expr=f"max by ({NODE}) (changes({of(metric.START)}[30m])) > 2",
    wait="0s",
    because="Each start is too short for whoever waits for a node to be down, and all its calls end with each. An upgrade"
    " is one start, and its rollback another. The window is the wait.",
    summary="{{ $labels.node }} starts again and again",
    description="{{ $labels.node }} was started {{ $value }} times within 30 minutes.",
)
SOCKET_DROPS: Final = Alert(
    name="EdgeSocketDrops",
    severity="warning",
    expr=f"{_DROPS} / ({_RECEIVED} + {_DROPS}) > 0.001",
    wait="5m",
    because="One datagram in a thousand is heard by nobody yet, and says that the process is too slow. 5 minutes are longer"
    " than a burst.",
    summary="{{ $labels.node }} is too slow for its packets",
    description="The kernel dropped {{ $value | humanizePercentage }} of the datagrams for {{ $labels.node }}.",
)
FLEET_NEARLY_FULL: Final = Alert(
    name="EdgeFleetNearlyFull",
    severity="warning",
    expr=f"avg by ({FLEET}) {_IN_USE} > 0.7",
    wait="10m",
    because="A fleet with less than a third to spare cannot lose a site. There is time to add nodes, so nobody is woken.",
    summary="The fleet is nearly full",
    description="On average nodes carry {{ $value | humanizePercentage }} of what they can.",
)
CALLERS_REFUSED: Final = Alert(
    name="EdgeCallersRefused",
    severity="critical",
    expr=f"{_REFUSED} / {_NEWCOMERS} > 0.05",
    wait="5m",
    because="One caller in twenty gets a busy tone. For less than 5 minutes it is a peak, and who calls again gets in.",
    summary="Callers are refused at {{ $labels.site }}",
    description="{{ $labels.site }} refuses {{ $value | humanizePercentage }} of new connections because it is full.",
)
TURNS_DELAYED_HERE: Final = Alert(
    name="EdgeTurnsDelayedHere",
    severity="warning",
    expr=f"histogram_quantile(0.99, {_ADDED}) > 0.05",
    wait="10m",
    because="50 ms of the node's own are a tenth of what a turn may take; the usual is below 2 ms. It is slow, not broken.",
    summary="The edge itself delays answers at {{ $labels.site }}",
    description="One turn in a hundred is kept {{ $value | humanizeDuration }} or longer by nodes of {{ $labels.site }}.",
)
FORWARD_DROPS: Final = Alert(
    name="EdgeForwardDrops",
    severity="warning",
    expr=f"sum by ({NODE}, reason) (rate({of(metric.FORWARD_DROPPED)}[5m])) > 1",
    wait="10m",
    because="Calls whose packets stray are cut off by it, all others are not touched. After 10 minutes it is no rotation"
    " and no reload.",
    summary="{{ $labels.node }} drops packets between nodes",
    description="{{ $labels.node }} drops {{ $value | humanize }} packets per second between nodes: {{ $labels.reason }}.",
)

NODES: Final = Group(
    "edge-nodes",
    (
        WATCHDOG,
        NO_TARGETS,
        NODE_DOWN,
        SELF_PROBE_FAILING,
        WORKER_RESTARTS,
        NODE_RESTARTS,
        SOCKET_DROPS,
        FLEET_NEARLY_FULL,
        CALLERS_REFUSED,
        TURNS_DELAYED_HERE,
        FORWARD_DROPS,
    ),
)
