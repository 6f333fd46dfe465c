"""Alerts about who announces: the network's view of the fleet."""

from __future__ import annotations

from typing import Final

from edge.monitoring.levels import ANNOUNCING, ANNOUNCING_IN_FLEET, ANNOUNCING_IN_SITE, ANNOUNCING_PREFIX
from edge.monitoring.promql import FLEET, NODE, SITE, UP, of
from edge.monitoring.rule import Alert, Group
from edge.runtime import metric_table as metric

# Who was held when it was last heard is held: a machine that is switched off while it is worked on says nothing.
_HELD = f"max by ({NODE}) (last_over_time({of(metric.POLICY_STATE, state='held')}[1d]))"
_ALL_HELD = f"(sum by ({SITE}) ({_HELD} and on ({NODE}) {UP}) == on ({SITE}) count by ({SITE}) ({UP}))"

FLEET_DARK: Final = Alert(
    name="EdgeFleetDark",
    severity="critical",
    expr=f"count by ({FLEET}) ({UP}) unless on ({FLEET}) ({ANNOUNCING_IN_FLEET.name} > 0)",
    wait="30s",
    because="Nobody can call. Half a minute is two scrapes: one that failed everywhere at once is no outage.",
    summary="No node announces the service",
    description="Of {{ $value }} nodes none announces to an upstream that hears it: nobody can call.",
)
PREFIX_DARK: Final = Alert(
    name="EdgePrefixDark",
    severity="critical",
    expr=f"{ANNOUNCING_PREFIX.name} == 0",
    wait="1m",
    because="Callers of one address family cannot call, and nobody sees that who has both. A node that restarts is back"
    " within a minute.",
    summary="No node announces {{ $labels.prefix }}",
    description="{{ $labels.prefix }} is announced by {{ $value }} nodes.",
)
SITE_DARK: Final = Alert(
    name="EdgeSiteDark",
    severity="critical",
    expr=f"(count by ({SITE}) ({UP}) unless on ({SITE}) ({ANNOUNCING_IN_SITE.name} > 0))\n"
    f"unless on ({SITE}) {_ALL_HELD}",
    wait="2m",
    because="Callers are served from farther away, and the other sites carry the load. A restart takes less than 2"
    " minutes; a site that operators hold on purpose is no alarm.",
    summary="Site {{ $labels.site }} is dark",
    description="Of the {{ $value }} nodes of {{ $labels.site }} none announces, and no operator has asked for that.",
)
ANNOUNCING_WHILE_UNHEALTHY: Final = Alert(
    name="EdgeAnnouncingWhileUnhealthy",
    severity="critical",
    expr=f"{ANNOUNCING.name} == 1\n"
    f"and on ({NODE}) sum by ({NODE}) (increase({of(metric.SELF_PROBES, result='failed')}[1m])) > 0\n"
    f"and on ({NODE}) sum by ({NODE}) (increase({of(metric.SELF_PROBES, result='ok')}[1m])) == 0",
    wait="30s",
    because="Callers are drawn to a node that does not answer. It withdraws by itself within 4 s: after a minute without"
    " one good probe it will not.",
    summary="{{ $labels.node }} announces and does not answer",
    description="{{ $labels.node }} at {{ $labels.site }} is announced, and for a minute none of its handshakes with"
    " itself succeeded.",
)
BGP_SESSION_DOWN: Final = Alert(
    name="EdgeBgpSessionDown",
    severity="warning",
    expr=f"{of(metric.BGP_NEIGHBOR_UP)} == 0",
    wait="3m",
    because="One session of several: another carries the callers, or the site is dark and says so itself. A router that"
    " restarts is back within 3 minutes.",
    summary="{{ $labels.node }} has lost {{ $labels.neighbor }}",
    description="The BGP session of {{ $labels.node }} with its {{ $labels.role }} neighbor {{ $labels.neighbor }} is"
    " down.",
)
SPEAKER_UNSOUND: Final = Alert(
    name="EdgeSpeakerUnsound",
    severity="warning",
    expr=f"sum by ({NODE}) (increase({of(metric.ECHO_ALARMS)}[15m])) > 0\n"
    # Halves: between samples that do not lie at its ends, a window counts 1 as 1.02.
    f"or sum by ({NODE}) (increase({of(metric.ROUTE_DIVERGENCES)}[15m])) > 2.5\n"
    f"or sum by ({NODE}) (increase({of(metric.SPEAKER_RESTARTS)}[15m])) > 1.5",
    wait="0s",
    because="The node repairs it each time, and callers are served; but what it says is not what the network hears. The"
    " window of 15 minutes is the wait.",
    summary="The BGP speaker of {{ $labels.node }} does not do as it is told",
    description='{{ $value | printf "%.0f" }} alarms, divergences or deaths of the speaker of {{ $labels.node }} in 15 minutes.',
)
ROUTE_FLAPPING: Final = Alert(
    name="EdgeRouteFlapping",
    severity="warning",
    expr=f"sum by ({NODE}) (increase({of(metric.POLICY_DECISIONS, state='announced')}[1h])) > 3.5",
    wait="0s",
    because="Neighbors that damp count each flap for an hour, and suppress the prefix after a few. The window is the wait.",
    summary="{{ $labels.node }} goes out and comes back",
    description='{{ $labels.node }} was announced {{ $value | printf "%.0f" }} times within an hour.',
)
VIEW_UNRELIABLE: Final = Alert(
    name="EdgeViewUnreliable",
    severity="warning",
    expr=f"{of(metric.VIEW_RELIABLE)} == 0",
    wait="10m",
    because="The node makes no move for load, and hands calls over less well; callers notice nothing yet. A reflector"
    " that restarts is back within 10 minutes.",
    summary="{{ $labels.node }} does not see the other nodes",
    description="What {{ $labels.node }} knows of the other nodes cannot be relied on.",
)

ROUTING: Final = Group(
    "edge-routing",
    (
        FLEET_DARK,
        PREFIX_DARK,
        SITE_DARK,
        ANNOUNCING_WHILE_UNHEALTHY,
        BGP_SESSION_DOWN,
        SPEAKER_UNSOUND,
        ROUTE_FLAPPING,
        VIEW_UNRELIABLE,
    ),
)
