"""What Prometheus is shown, and which alerts must come of it; played by `test_rules` with promtool.

A sample every 15 s, or every minute where it takes hours. ``1x40`` is forty-one times 1, ``0+3x40`` grows by 3 a sample, ``_x4`` is four times nothing.
Names are written out as nodes serve them, so that a rename is seen here, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Fired:
    """One alert: its labels beside the name, and what its description says."""

    severity: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """``fires`` at ``at``; empty where the alert must not."""

    alert: str
    what: str
    series: dict[str, str]
    at: str = "10m"
    fires: tuple[Fired, ...] = ()

    @property
    def every(self) -> str:
        """From one sample, and one evaluation, to the next."""
        return "1m" if self.at.endswith("h") or int(self.at.split("m")[0]) > 60 else "15s"


AMS1 = {"site": "ams", "node": "ams-1"}
AMS2 = {"site": "ams", "node": "ams-2"}
FRA1 = {"site": "fra", "node": "fra-1"}
STEADY = "1x2000"
OFF = "0x2000"


def s(name: str, where: dict[str, str] = AMS1, /, **labels: str) -> str:
    """A series of a node."""
    inner = ", ".join(f'{label}="{value}"' for label, value in (where | labels).items())
    return f"{name}{{{inner}}}"


def up(*where: dict[str, str], values: str = STEADY) -> dict[str, str]:
    return {s("up", one, job="edge"): values for one in where}


def announcing(where: dict[str, str], values: str = STEADY, *, heard: str = STEADY) -> dict[str, str]:
    return {
        s("edge_route_state", where, prefix="192.0.2.0/24", state="announced"): values,
        s("edge_bgp_neighbor_up", where, neighbor="198.51.100.1", role="upstream", carries="both"): heard,
        s("edge_policy_state", where, state="held"): OFF,
    }


def versions(where: dict[str, str], version: str) -> dict[str, str]:
    return {s("edge_build_info", where, version=version): STEADY}


def quality(bad: str, per_sample: float, total: str, of: float, **labels: str) -> dict[str, str]:
    return {
        s(bad, **labels): f"0+{per_sample:g}x2000",
        s(total, **({"result": "completed"} if labels else {})): f"0+{of:g}x2000",
        s("edge_self_probe_handshakes_total"): "0x2000",
    }


LONG = "8h"

CASES: Final = (
    # --- who announces ---------------------------------------------------------------------------------------
    Case(
        "EdgeFleetDark",
        "two nodes, both withdrawn",
        up(AMS1, FRA1) | announcing(AMS1, OFF) | announcing(FRA1, OFF),
        fires=(
            Fired("critical", "Of 2 nodes none announces to an upstream that hears it: nobody can call."),
        ),
    ),
    Case(
        "EdgeFleetDark",
        "all nodes are gone, and with them what they said",
        up(AMS1, FRA1, values="1x8 0x100") | announcing(AMS1, "1x8 stale") | announcing(FRA1, "1x8 stale"),
        fires=(
            Fired("critical", "Of 2 nodes none announces to an upstream that hears it: nobody can call."),
        ),
    ),
    Case(
        "EdgeFleetDark",
        "one announces to an upstream that is not there",
        up(AMS1) | announcing(AMS1, heard=OFF),
        fires=(
            Fired("critical", "Of 1 nodes none announces to an upstream that hears it: nobody can call."),
        ),
    ),
    Case("EdgeFleetDark", "one of two announces", up(AMS1, FRA1) | announcing(AMS1, OFF) | announcing(FRA1)),
    Case(
        "EdgeFleetDark",
        "without BGP, behind a balancer",
        up(AMS1) | {s("edge_policy_state", state="announced"): STEADY},
    ),
    Case(
        "EdgeFleetDark",
        "another fleet is no help",
        {
            **up(AMS1 | {"fleet": "one"}, FRA1 | {"fleet": "two"}),
            **announcing(AMS1 | {"fleet": "one"}),
            **announcing(FRA1 | {"fleet": "two"}, OFF),
        },
        fires=(
            Fired(
                "critical",
                "Of 1 nodes none announces to an upstream that hears it: nobody can call.",
                {"fleet": "two"},
            ),
        ),
    ),
    Case(
        "EdgePrefixDark",
        "IPv6 is announced nowhere",
        announcing(AMS1)
        | {s("edge_route_state", prefix="2001:db8:1::/48", state="announced"): OFF}
        | {s("edge_route_state", FRA1, prefix="2001:db8:1::/48", state="depreferred"): OFF},
        fires=(Fired("critical", "2001:db8:1::/48 is announced by 0 nodes.", {"prefix": "2001:db8:1::/48"}),),
    ),
    Case("EdgePrefixDark", "one node of two is enough", announcing(AMS1) | announcing(FRA1, OFF)),
    Case(
        "EdgePrefixDark",
        "both are announced, and the session that carries IPv6 is down",
        {
            s("edge_route_state", prefix="192.0.2.0/24", state="announced"): STEADY,
            s("edge_route_state", prefix="2001:db8:1::/48", state="announced"): STEADY,
            s("edge_bgp_neighbor_up", neighbor="198.51.100.1", role="upstream", carries="ipv4"): STEADY,
            s("edge_bgp_neighbor_up", neighbor="2001:db8:ff::1", role="upstream", carries="ipv6"): OFF,
        },
        fires=(Fired("critical", "2001:db8:1::/48 is announced by 0 nodes.", {"prefix": "2001:db8:1::/48"}),),
    ),
    Case(
        "EdgePrefixDark",
        "IPv6 is told to nobody, for there is no session that carries it",
        {
            s("edge_route_state", prefix="2001:db8:1::/48", state="announced"): STEADY,
            s("edge_bgp_neighbor_up", neighbor="198.51.100.1", role="upstream", carries="ipv4"): STEADY,
        },
        fires=(Fired("critical", "2001:db8:1::/48 is announced by 0 nodes.", {"prefix": "2001:db8:1::/48"}),),
    ),
    Case(
        "EdgePrefixDark",
        "IPv6 goes over another session than IPv4",
        {
            s("edge_route_state", prefix="192.0.2.0/24", state="announced"): STEADY,
            s("edge_route_state", prefix="2001:db8:1::/48", state="depreferred"): STEADY,
            s("edge_bgp_neighbor_up", neighbor="198.51.100.1", role="upstream", carries="ipv4"): STEADY,
            s("edge_bgp_neighbor_up", neighbor="2001:db8:ff::1", role="upstream", carries="ipv6"): STEADY,
        },
    ),
    Case(
        "EdgeSiteDark",
        "its only node is gone",
        up(AMS1)
        | announcing(AMS1)
        | up(FRA1, values="1x4 0x100")
        | announcing(FRA1, "1x4 stale", heard="1x4 stale"),
        fires=(
            Fired(
                "critical",
                "Of the 1 nodes of fra none announces, and no operator has asked for that.",
                {"site": "fra"},
            ),
        ),
    ),
    Case(
        "EdgeSiteDark",
        "one is held, the other broke",
        up(AMS1, AMS2, FRA1)
        | announcing(FRA1)
        | announcing(AMS2, OFF)
        | announcing(AMS1, OFF)
        | {s("edge_policy_state", state="held"): STEADY},
        fires=(
            Fired(
                "critical",
                "Of the 2 nodes of ams none announces, and no operator has asked for that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeSiteDark",
        "all are held by operators",
        up(AMS1, FRA1)
        | announcing(FRA1)
        | announcing(AMS1, OFF)
        | {s("edge_policy_state", state="held"): STEADY},
    ),
    Case(
        "EdgeSiteDark",
        "held, and switched off while it is worked on",
        up(AMS1, values="1x20 0x400")
        | announcing(AMS1, "0x20 stale", heard="1x20 stale")
        | {s("edge_policy_state", state="held"): "1x20 stale"},
        at="60m",
    ),
    Case(
        "EdgeSiteDark",
        "it was held once, then announced, then it was gone",
        up(AMS1, values="1x40 0x400")
        | announcing(AMS1, "0x10 1x29 stale", heard="1x40 stale")
        | {s("edge_policy_state", state="held"): "1x10 0x29 stale"},
        at="20m",
        fires=(
            Fired(
                "critical",
                "Of the 1 nodes of ams none announces, and no operator has asked for that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeSiteDark",
        "a restart takes a minute",
        up(AMS1, values="1x20 0x4 1x40") | announcing(AMS1, "1x20 0x4 1x40"),
        at="6m30s",
    ),
    Case(
        "EdgeAnnouncingWhileUnhealthy",
        "announced, and no probe passes",
        announcing(AMS1)
        | {
            s("edge_self_probes_total", result="failed"): "0+15x80",
            s("edge_self_probes_total", result="ok"): "9x80",
        },
        fires=(
            Fired(
                "critical",
                "ams-1 at ams is announced, and for a minute none of its handshakes with itself succeeded.",
                AMS1,
            ),
        ),
    ),
    Case(
        "EdgeAnnouncingWhileUnhealthy",
        "it has withdrawn",
        announcing(AMS1, OFF)
        | {
            s("edge_self_probes_total", result="failed"): "0+15x80",
            s("edge_self_probes_total", result="ok"): "9x80",
        },
    ),
    Case(
        "EdgeAnnouncingWhileUnhealthy",
        "some probes pass",
        announcing(AMS1)
        | {
            s("edge_self_probes_total", result="failed"): "0+9x80",
            s("edge_self_probes_total", result="ok"): "0+6x80",
        },
    ),
    Case(
        "EdgeBgpSessionDown",
        "one of two",
        {
            s("edge_bgp_neighbor_up", neighbor="198.51.100.1", role="upstream"): OFF,
            s("edge_bgp_neighbor_up", neighbor="198.51.100.9", role="fleet"): STEADY,
        },
        fires=(
            Fired(
                "warning",
                "The BGP session of ams-1 with its upstream neighbor 198.51.100.1 is down.",
                AMS1 | {"neighbor": "198.51.100.1", "role": "upstream"},
            ),
        ),
    ),
    Case(
        "EdgeBgpSessionDown",
        "a router that restarts",
        {s("edge_bgp_neighbor_up", neighbor="198.51.100.1", role="upstream"): "1x30 0x8 1x40"},
    ),
    Case(
        "EdgeSpeakerUnsound",
        "a route is still seen",
        {s("edge_bgp_echo_alarms_total", kind="still-announced"): "0x20 1x80"},
        fires=(
            Fired("warning", "1 alarms, divergences or deaths of the speaker of ams-1 in 15 minutes.", AMS1),
        ),
    ),
    Case(
        "EdgeSpeakerUnsound",
        "one divergence, repaired",
        {
            s("edge_bgp_echo_alarms_total", kind="still-announced"): OFF,
            s("edge_route_divergences_total", kind="missing"): "0x20 1x80",
            s("edge_speaker_restarts_total"): OFF,
        },
    ),
    Case(
        "EdgeSpeakerUnsound",
        # Between samples that do not lie at its ends, a window counts somewhat more than there was: 1 is 1.02.
        "two divergences, and a speaker that died once",
        {
            s("edge_bgp_echo_alarms_total", kind="still-announced"): OFF,
            s("edge_route_divergences_total", kind="missing"): "7x19 _x1 7x10 8x5 9x80",
            s("edge_speaker_restarts_total"): "1x19 _x1 1x10 2x80",
        },
        at="20m",
    ),
    Case(
        "EdgeSpeakerUnsound",
        "the speaker died twice",
        {
            s("edge_bgp_echo_alarms_total", kind="still-announced"): OFF,
            s("edge_route_divergences_total", kind="missing"): OFF,
            s("edge_speaker_restarts_total"): "0x20 1x10 2x80",
        },
        at="15m",
        fires=(
            Fired("warning", "2 alarms, divergences or deaths of the speaker of ams-1 in 15 minutes.", AMS1),
        ),
    ),
    Case(
        "EdgeRouteFlapping",
        "announced every ten minutes",
        {s("edge_policy_decisions_total", state="announced"): "1x9 2x9 3x9 4x9 5x9 6x9"},
        at="61m",
        fires=(Fired("warning", "ams-1 was announced 5 times within an hour.", AMS1),),
    ),
    Case(
        "EdgeRouteFlapping",
        "once, after a restart",
        {s("edge_policy_decisions_total", state="announced"): "0x10 1x200"},
        at="61m",
    ),
    Case(
        "EdgeRouteFlapping",
        "three times, which is not more than three times",
        {s("edge_policy_decisions_total", state="announced"): "5 _x1 5x7 6x9 7x9 8x90"},
        at="61m",
    ),
    Case(
        "EdgeViewUnreliable",
        "no reflector",
        {s("edge_view_reliable"): OFF},
        at="15m",
        fires=(Fired("warning", "What ams-1 knows of the other nodes cannot be relied on.", AMS1),),
    ),
    Case("EdgeViewUnreliable", "for a moment", {s("edge_view_reliable"): "1x20 0x20 1x40"}),
    # --- nodes -----------------------------------------------------------------------------------------------
    Case(
        "EdgeWatchdog",
        "always",
        {},
        at="0m",
        fires=(
            Fired("none", "This alert is always there; when it is not, nothing else would arrive either."),
        ),
    ),
    Case(
        "EdgeNoTargets",
        "other jobs only",
        {'up{job="node"}': STEADY},
        fires=(
            Fired(
                "critical",
                'Prometheus has no target in the job "edge": discovery gives none.',
                {"job": "edge"},
            ),
        ),
    ),
    Case("EdgeNoTargets", "one that is down is one", up(AMS1, values=OFF)),
    Case(
        "EdgeNodeDown",
        "gone",
        up(AMS1 | {"instance": "198.51.100.11:9464"}, values="1x10 0x40"),
        fires=(
            Fired(
                "warning",
                "ams-1 at ams (198.51.100.11:9464) has not been scraped for 2 minutes.",
                AMS1 | {"instance": "198.51.100.11:9464", "job": "edge"},
            ),
        ),
    ),
    Case("EdgeNodeDown", "another job", {s("up", job="node"): OFF} | up(AMS1)),
    Case(
        "EdgeSelfProbeFailing",
        "three in four",
        {
            s("edge_self_probes_total", result="failed"): "0+3x80",
            s("edge_self_probes_total", result="ok"): "0+1x80",
        },
        fires=(Fired("warning", "75% of the handshakes of ams-1 with itself failed.", AMS1),),
    ),
    Case(
        "EdgeSelfProbeFailing",
        "one in four",
        {
            s("edge_self_probes_total", result="failed"): "0+1x80",
            s("edge_self_probes_total", result="ok"): "0+3x80",
        },
    ),
    Case(
        "EdgeWorkerRestarts",
        "one",
        {s("edge_worker_restarts_total"): "0x20 1x80"},
        fires=(Fired("warning", "1 workers of ams-1 died within 15 minutes and were replaced.", AMS1),),
    ),
    Case(
        "EdgeWorkerRestarts",
        "a node that restarts counts from 0",
        {s("edge_worker_restarts_total"): "5x20 0x80"},
    ),
    Case(
        "EdgeNodeRestarts",
        "up for a minute, again and again",
        {s("edge_start_timestamp_seconds"): "100x4 _x1 200x4 _x1 300x4 _x1 400x60"},
        fires=(Fired("warning", "ams-1 was started 3 times within 30 minutes.", AMS1),),
    ),
    Case(
        "EdgeNodeRestarts",
        "an upgrade, and back",
        {s("edge_start_timestamp_seconds"): "100x4 _x4 200x8 _x4 300x60"},
    ),
    Case(
        "EdgeSocketDrops",
        "one in a hundred",
        {s("edge_socket_drops_total"): "0+10x80", s("edge_datagrams_received_total"): "0+990x80"},
        at="15m",
        fires=(Fired("warning", "The kernel dropped 1% of the datagrams for ams-1.", AMS1),),
    ),
    Case(
        "EdgeSocketDrops",
        "one in ten thousand",
        {s("edge_socket_drops_total"): "0+1x80", s("edge_datagrams_received_total"): "0+9999x80"},
        at="15m",
    ),
    Case(
        "EdgeFleetNearlyFull",
        "two nodes, the worst signal of each",
        {
            s("edge_pressure_ratio", signal="calls"): "0.9x80",
            s("edge_pressure_ratio", signal="cpu"): "0.1x80",
            s("edge_pressure_ratio", FRA1, signal="cpu"): "0.6x80",
        },
        at="15m",
        fires=(Fired("warning", "On average nodes carry 75% of what they can."),),
    ),
    Case(
        "EdgeFleetNearlyFull",
        "one is full, the other has room",
        {
            s("edge_pressure_ratio", signal="calls"): "1x80",
            s("edge_pressure_ratio", FRA1, signal="calls"): "0.2x80",
        },
        at="15m",
    ),
    Case(
        "EdgeFleetNearlyFull",
        "the empty ones are held, or broken: there is no room on them",
        {
            s("edge_pressure_ratio", signal="calls"): "0.9x80",
            s("edge_pressure_ratio", AMS2, signal="calls"): "0x80",
            s("edge_policy_state", AMS2, state="held"): STEADY,
            s("edge_pressure_ratio", FRA1, signal="calls"): "0x80",
            s("edge_policy_state", FRA1, state="fenced"): STEADY,
        },
        at="15m",
        fires=(Fired("warning", "On average nodes carry 90% of what they can."),),
    ),
    Case(
        "EdgeCallersRefused",
        "one in ten",
        {
            s("edge_handshakes_refused_total"): "0+2x80",
            s("edge_handshakes_crowded_total"): "0+1x80",
            s("edge_initials_received_total"): "0+10x80",
        },
        at="15m",
        fires=(Fired("critical", "ams refuses 10% of new connections because it is full.", {"site": "ams"}),),
    ),
    Case(
        "EdgeCallersRefused",
        "one in a hundred",
        {
            s("edge_handshakes_refused_total"): "0+1x80",
            s("edge_handshakes_crowded_total"): "0x80",
            s("edge_initials_received_total"): "0+100x80",
        },
        at="15m",
    ),
    Case(
        "EdgeCallersRefused",
        "a drained node refuses everybody, itself most of all",
        {
            s("edge_handshakes_refused_total"): "0+30x80",
            s("edge_handshakes_crowded_total"): "0x80",
            s("edge_initials_received_total"): "0+30x80",
            s("edge_admission_state", state="draining"): STEADY,
            s("edge_handshakes_refused_total", AMS2): "0x80",
            s("edge_handshakes_crowded_total", AMS2): "0x80",
            s("edge_initials_received_total", AMS2): "0+70x80",
            s("edge_admission_state", AMS2, state="draining"): OFF,
        },
        at="15m",
    ),
    Case(
        "EdgeCallersRefused",
        "one address asks far too often, and there is room",
        {
            s("edge_handshakes_refused_total"): "0+30x80",
            s("edge_handshakes_crowded_total"): "0+30x80",
            s("edge_initials_received_total"): "0+70x80",
        },
        at="15m",
    ),
    Case(
        "EdgeTurnsDelayedHere",
        "one in ten is slow",
        {
            s("edge_turn_added_seconds_bucket", le="0.05"): "0+9x80",
            s("edge_turn_added_seconds_bucket", le="0.1"): "0+10x80",
            s("edge_turn_added_seconds_bucket", le="+Inf"): "0+10x80",
        },
        at="25m",
        fires=(
            Fired(
                "warning",
                "One turn in a hundred is kept 95ms or longer by nodes of ams.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeTurnsDelayedHere",
        "all are quick",
        {
            s("edge_turn_added_seconds_bucket", le="0.05"): "0+10x80",
            s("edge_turn_added_seconds_bucket", le="0.1"): "0+10x80",
            s("edge_turn_added_seconds_bucket", le="+Inf"): "0+10x80",
        },
        at="25m",
    ),
    Case(
        "EdgeForwardDrops",
        "a node that nobody knows",
        {
            s("edge_forward_dropped_total", reason="unknown_owner"): "0+45x120",
            s("edge_forward_dropped_total", reason="forged"): "0x120",
        },
        at="20m",
        fires=(
            Fired(
                "warning",
                "ams-1 drops 3 packets per second between nodes: unknown_owner.",
                AMS1 | {"reason": "unknown_owner"},
            ),
        ),
    ),
    Case(
        "EdgeForwardDrops",
        "now and then",
        {s("edge_forward_dropped_total", reason="forged"): "0+3x120"},
        at="20m",
    ),
    # --- upkeep ----------------------------------------------------------------------------------------------
    Case(
        "EdgeDrainStuck",
        "callers that do not move",
        {s("edge_drain_phase", phase="handing-over"): STEADY, s("edge_drain_phase", phase="empty"): OFF},
        at="20m",
        fires=(Fired("warning", "ams-1 has been emptied for 15 minutes and still has calls.", AMS1),),
    ),
    Case(
        "EdgeDrainStuck",
        "one phase after the other, and none stays",
        {
            s("edge_drain_phase", phase="settling"): "1x30 0x80",
            s("edge_drain_phase", phase="handing-over"): "0x30 1x20 0x60",
            s("edge_drain_phase", phase="empty"): "0x51 1x60",
        },
        at="20m",
    ),
    Case(
        "EdgeDrainStuck",
        "calls are let end",
        {s("edge_drain_phase", phase="ending"): STEADY, s("edge_drain_phase", phase="closing"): OFF},
        at="61m",
    ),
    Case(
        "EdgeNodeHeld",
        "forgotten",
        {s("edge_policy_state", state="held"): "1x4000"},
        at="13h",
        fires=(
            Fired(
                "warning",
                "An operator took ams-1 out of the routes 12 hours ago or longer.",
                AMS1 | {"state": "held"},
            ),
        ),
    ),
    Case("EdgeNodeHeld", "since this morning", {s("edge_policy_state", state="held"): "1x4000"}, at="4h"),
    Case(
        "EdgeOperationInterrupted",
        "left in the middle",
        {s("edge_operation_interrupted"): STEADY},
        at="20m",
        fires=(
            Fired(
                "warning",
                "ams-1 has a note on an operation that says it runs, and whoever wrote it has gone.",
                AMS1,
            ),
        ),
    ),
    Case("EdgeOperationInterrupted", "resumed", {s("edge_operation_interrupted"): "1x40 0x80"}, at="20m"),
    Case(
        "EdgeConfigNotLoaded",
        "left for later",
        {s("edge_config_changed_on_disk"): STEADY},
        at="40m",
        fires=(
            Fired("warning", "The configuration file of ams-1 has changed since the node was started.", AMS1),
        ),
    ),
    Case(
        "EdgeConfigNotLoaded", "restarted with it", {s("edge_config_changed_on_disk"): "1x60 0x200"}, at="40m"
    ),
    Case(
        "EdgeCertificateExpires",
        "ten days left",
        {s("edge_certificate_expiry_timestamp_seconds"): "864000x100"},
        at="1h",
        fires=(
            Fired(
                "warning",
                "The certificate that callers of ams-1 are shown is good for another 9d 23h 0m 0s.",
                AMS1,
            ),
        ),
    ),
    Case(
        "EdgeCertificateExpires",
        "a day left",
        {s("edge_certificate_expiry_timestamp_seconds"): "86400x100"},
        at="1h",
        fires=tuple(
            Fired(
                severity,
                "The certificate that callers of ams-1 are shown is good for another 23h 0m 0s.",
                AMS1,
            )
            for severity in ("warning", "critical")
        ),
    ),
    Case(
        "EdgeCertificateExpires",
        "renewed in time",
        {s("edge_certificate_expiry_timestamp_seconds"): "2592000x100"},
        at="1h",
    ),
    Case(
        "EdgeConfigDrift",
        "another list of members",
        {
            s("edge_alike_info", part="service", hash="aa"): STEADY,
            s("edge_alike_info", part="members", hash="bb"): STEADY,
            s("edge_alike_info", FRA1, part="service", hash="aa"): STEADY,
            s("edge_alike_info", FRA1, part="members", hash="cc"): STEADY,
        },
        at="40m",
        fires=(
            Fired(
                "warning",
                "There are 2 versions of the members part of the configuration.",
                {"part": "members"},
            ),
        ),
    ),
    Case(
        "EdgeConfigDrift",
        "rolled out",
        {
            s("edge_alike_info", part="members", hash="bb"): "1x20 _x200",
            s("edge_alike_info", part="members", hash="cc"): "_x20 1x200",
            s("edge_alike_info", FRA1, part="members", hash="cc"): "1x300",
        },
        at="40m",
    ),
    Case(
        "EdgeVersionSkew",
        "halfway",
        versions(AMS1, "0.1.0") | versions(FRA1, "0.2.0"),
        at="3h",
        fires=(Fired("warning", "2 versions run side by side for more than 2 hours."),),
    ),
    Case("EdgeVersionSkew", "during an upgrade", versions(AMS1, "0.1.0") | versions(FRA1, "0.2.0"), at="1h"),
    Case("EdgeVersionSkew", "one for all", versions(AMS1, "0.2.0") | versions(FRA1, "0.2.0"), at="3h"),
    Case(
        "EdgeKeysDiffer",
        "one did not get the file",
        {s("edge_keys_version"): "3x200", s("edge_keys_version", FRA1): "2x200"},
        at="20m",
        fires=(
            Fired(
                "warning",
                "The newest key ring in use is version 3, and some node or worker uses an older one.",
            ),
        ),
    ),
    Case(
        "EdgeKeysDiffer",
        "the same",
        {s("edge_keys_version"): "3x200", s("edge_keys_version", FRA1): "3x200"},
        at="20m",
    ),
    Case(
        "EdgeKeysOld",
        "made a year before",  # the clock of these tests begins in 1970
        {s("edge_keys_created_timestamp_seconds"): "-31536000x400"},
        at="70m",
        fires=(Fired("warning", "The keys in use were made 365d 1h 10m 0s ago."),),
    ),
    Case("EdgeKeysOld", "of today", {s("edge_keys_created_timestamp_seconds"): "0x400"}, at="70m"),
    Case(
        "EdgeSharedFileProblem",
        "a ring that cannot be read",
        {s("edge_shared_file_problems"): STEADY},
        fires=(
            Fired("warning", "1 files (keys, members) changed to something that ams-1 cannot use.", AMS1),
        ),
    ),
    Case("EdgeSharedFileProblem", "repaired", {s("edge_shared_file_problems"): "1x10 0x80"}),
    # --- promises --------------------------------------------------------------------------------------------
    Case(
        "EdgeHandshakeErrors",
        "one in five fails",
        quality("edge_handshakes_total", 2, "edge_handshakes_total", 8, result="failed"),
        at="70m",
        fires=(
            Fired(
                "critical",
                "20% of the handshakes failed over 1h, and as bad over 5m. 1.00% would be as promised, this is more"
                " than 14.4 times that.",
                {"site": "ams"},
            ),
            Fired(
                "warning",
                "20% of the handshakes failed over 6h, and as bad over 30m. 1.00% would be as promised, this is more"
                " than 6 times that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeHandshakeErrors",
        "one in twelve: not at once, but it will not do",
        quality("edge_handshakes_total", 1, "edge_handshakes_total", 11, result="failed"),
        at=LONG,
        fires=(
            Fired(
                "warning",
                "8.333% of the handshakes failed over 6h, and as bad over 30m. 1.00% would be as promised, this is"
                " more than 6 times that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeHandshakeErrors",
        "some always fail",
        quality("edge_handshakes_total", 1, "edge_handshakes_total", 99, result="failed"),
        at=LONG,
    ),
    Case(
        "EdgeHandshakeErrors",
        "it is over",
        {
            s("edge_handshakes_total", result="failed"): "0+5x50 250x400",
            s("edge_handshakes_total", result="completed"): "0+10x400",
            s("edge_self_probe_handshakes_total"): "0x400",
        },
        at="82m",
    ),
    Case(
        "EdgeHandshakeErrors",
        "no caller gets in, and the node's own handshakes do",
        {
            s("edge_handshakes_total", result="failed"): "0+5x400",
            s("edge_handshakes_total", result="completed"): "0+240x400",
            s("edge_self_probe_handshakes_total"): "0+240x400",
        },
        at="70m",
        fires=tuple(
            Fired(
                severity,
                f"100% of the handshakes failed over {long}, and as bad over {short}. 1.00% would be as promised, this"
                f" is more than {times} times that.",
                {"site": "ams"},
            )
            for severity, long, short, times in (
                ("critical", "1h", "5m", "14.4"),
                ("warning", "6h", "30m", "6"),
            )
        ),
    ),
    Case(
        "EdgeHandshakeErrors",
        "one of three callers all night",
        quality("edge_handshakes_total", 0.01, "edge_handshakes_total", 0.02, result="failed"),
        at="70m",
    ),
    Case(
        "EdgeSpeechLost",
        "a tenth",
        quality("edge_frames_lost_total", 75, "edge_frames_heard_total", 675),
        at="70m",
        fires=(
            Fired(
                "critical",
                "10% of the callers' frames came too late or not at all over 1h, and as bad over 5m. 0.50% would be as"
                " promised, this is more than 14.4 times that.",
                {"site": "ams"},
            ),
            Fired(
                "warning",
                "10% of the callers' frames came too late or not at all over 6h, and as bad over 30m. 0.50% would be"
                " as promised, this is more than 6 times that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeSpeechLost",
        "one in a thousand",
        quality("edge_frames_lost_total", 1, "edge_frames_heard_total", 999),
        at=LONG,
    ),
    Case(
        "EdgePlayoutUnderruns",
        "a gap every five seconds",
        quality("edge_playout_underruns_total", 3, "edge_frames_said_total", 750),
        at="70m",
        fires=(
            Fired(
                "critical",
                "20% as many gaps as seconds of speech were played over 1h, and as bad over 5m. 1.00% would be as"
                " promised, this is more than 14.4 times that.",
                {"site": "ams"},
            ),
            Fired(
                "warning",
                "20% as many gaps as seconds of speech were played over 6h, and as bad over 30m. 1.00% would be as"
                " promised, this is more than 6 times that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgePlayoutUnderruns",
        "a gap every hundred seconds",
        quality("edge_playout_underruns_total", 0.15, "edge_frames_said_total", 750),
        at=LONG,
    ),
    Case(
        "EdgeTurnsSlow",
        "four in five",
        {
            s("edge_turn_played_seconds_bucket", le="1.5"): "0+1x400",
            s("edge_turn_played_seconds_count"): "0+5x400",
        },
        at="70m",
        fires=(
            Fired(
                "critical",
                "80% of the turns took more than 1.5 s to the first word that the caller heard over 1h, and as bad over"
                " 5m. 5.00% would be as promised, this is more than 14.4 times that.",
                {"site": "ams"},
            ),
            Fired(
                "warning",
                "80% of the turns took more than 1.5 s to the first word that the caller heard over 6h, and as bad over"
                " 30m. 5.00% would be as promised, this is more than 6 times that.",
                {"site": "ams"},
            ),
        ),
    ),
    Case(
        "EdgeTurnsSlow",
        "one in ten",
        {
            s("edge_turn_played_seconds_bucket", le="1.5"): "0+9x2000",
            s("edge_turn_played_seconds_count"): "0+10x2000",
        },
        at=LONG,
    ),
)
