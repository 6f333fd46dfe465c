"""The metrics of a node, each declared once: name, type, unit, help and the values of its labels.

Names follow Prometheus' conventions: ``edge_<what>_<base unit>``, counters end in ``_total``, a state is one
0/1 series for each state it could be in. Which node and which site is said by the scraper's target labels, not
here; no label ever holds a caller's address, a call or a user.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

from edge.drain import Phase
from edge.overload import AdmissionState, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table.

    ``labels`` maps each label to its values: a closed tuple, or a few words on what they are where the node's
    configuration decides.
    """

    name: str
    unit: str = ""
    help: str
    labels: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)

    kind: ClassVar[str]

    def known_label_sets(self) -> Iterator[tuple[str, ...]]:
        """Every combination of label values, if all of them are known beforehand; else nothing."""
        closed = [values for values in self.labels.values() if not isinstance(values, str)]
        if len(closed) == len(self.labels):
            yield from itertools.product(*closed)

    def check(self, values: Sequence[str]) -> None:
        """Raise ValueError unless ``values`` fit the labels: a series nobody declared is a bug."""
        for (label, known), value in zip(self.labels.items(), values, strict=True):
            if not isinstance(known, str) and value not in known:
                raise ValueError(f"{self.name}: {label}={value!r} is none of {', '.join(known)}")


class Counter(Metric):
    """Only grows; every known series exists from the start, at 0, so that its first step can be seen."""

    kind = "counter"


class Gauge(Metric):
    """Goes up and down; a series exists once it was set."""

    kind = "gauge"


class State(Metric):
    """One series for each value of the last label, exactly one of which is 1."""

    kind = "gauge"

    @property
    def states(self) -> tuple[str, ...]:
        values = list(self.labels.values())[-1]
        assert not isinstance(values, str)  # a State without a closed set of states is a slip in the table
        return values


class Info(Metric):
    """A word of which there is one at a time, as a label: for each set of the other labels, one series, always 1."""

    kind = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Metric):
    """How often values fell into which bucket; ``buckets`` are upper bounds in the metric's unit."""

    kind = "histogram"

    buckets: tuple[float, ...]


def _values(members: type[Enum]) -> tuple[str, ...]:
    return tuple(member.value for member in members)


OUTCOMES = ("migrated", "on_anycast", "direct")
CARRIERS = ("quic", "webtransport", "websocket")
# Spoken conversation feels immediate below 0.5 s and broken above 1.5 s.
TURN_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
RESULTS = ("ok", "failed")
HANDOVERS = ("moved", "refused", "ended", "closed", "lost")
DRAIN_PHASES = ("none", *_values(Phase))
POLICY_STATES = ("starting", "announced", "depreferred", "withdrawn", "fenced", "held")
GUARDS = (
    "operator",
    "hold",
    "view",
    "last_site",
    "spare",
    "settling",
    "mover",
    "claim",
    "ledger",
    "proof",
    "back_off",
    "sync",
    "last_site_broken",
)
FORWARD_DROPS = (
    "unknown_owner",
    "too_big",
    "limited",
    "malformed",
    "forged",
    "replayed",
    "foreign",
)
GENERATIONS = 7
ALIKE = ("service", "members")
HASH = "the first 12 hex digits of a SHA-256"
GENERATION = "the number of a generation of keys"
PREFIX = "an announced prefix"
NEIGHBOR = "the address of a configured neighbor"
NEIGHBOR_ROLES = ("upstream", "fleet")
NEIGHBOR_FAMILIES = ("ipv4", "ipv6", "both")

METRICS: Final[tuple[Metric, ...]] = (
    BUILD_INFO := Gauge(
        name="edge_build_info",
        help="Always 1; the label says which version runs.",
        labels={"version": "the version of anycast-edge"},
    ),
    START := Gauge(
        name="edge_start_timestamp_seconds", unit="seconds", help="When the node was started, since 1970."
    ),
    CONFIG_INFO := Gauge(
        name="edge_config_info",
        help="Always 1; the label says which configuration file the node runs with.",
        labels={"hash": HASH},
    ),
    CONFIG_CHANGED := Gauge(
        name="edge_config_changed_on_disk",
        help="1 while the configuration file is another than the one that the node was started with.",
    ),
    CERTIFICATE_EXPIRY := Gauge(
        name="edge_certificate_expiry_timestamp_seconds",
        unit="seconds",
        help="When the certificate that callers are shown ends, since 1970.",
    ),
    LEASE_HELD := Gauge(name="edge_lease_held", help="1 while an operator has the lease."),
    OPERATION_INTERRUPTED := Gauge(
        name="edge_operation_interrupted",
        help="1 while the note on an operation says that it runs and who wrote it has gone.",
    ),
    # Packets
    DATAGRAMS_RECEIVED := Counter(
        name="edge_datagrams_received_total", help="UDP datagrams read from the sockets."
    ),
    DATAGRAMS_SENT := Counter(
        name="edge_datagrams_sent_total", help="UDP datagrams written, those included that could not be sent."
    ),
    DATAGRAMS_UNSENT := Counter(
        name="edge_datagrams_unsent_total",
        help="UDP datagrams that could not be sent and were dropped.",
        labels={"reason": ("congested", "too_big", "unreachable")},
    ),
    SOCKET_DROPS := Counter(
        name="edge_socket_drops_total",
        help="Datagrams the kernel dropped because a socket's receive buffer was full.",
    ),
    PACKETS_MISROUTED := Counter(
        name="edge_packets_misrouted_total",
        help="Packets whose connection ID belongs to another node or worker.",
    ),
    FORWARDED := Counter(
        name="edge_forwarded_packets_total",
        help="Packets between this worker and others of the fleet: strays for the owner of a call, and answers back.",
        labels={"kind": ("stray", "answer"), "direction": ("sent", "received")},
    ),
    FORWARD_DROPPED := Counter(
        name="edge_forward_dropped_total",
        help="Packets that were not passed on, or not taken from another node.",
        labels={"reason": FORWARD_DROPS},
    ),
    PACKETS_DROPPED := Counter(
        name="edge_packets_dropped_total",
        help="Datagrams that were neither read nor answered: they belong to no connection, or to one that sends more"
        " than one may, or too many would begin one.",
        labels={
            "reason": (
                "malformed",
                "small_initial",
                "undecryptable",
                "unroutable",
                "dead",
                "looped",
                "excess",
                "newcomers",
            )
        },
    ),
    STATELESS_RESETS := Counter(
        name="edge_stateless_resets_sent_total",
        help="Stateless resets sent for connections this node no longer has.",
    ),
    VERSION_NEGOTIATIONS := Counter(
        name="edge_version_negotiations_sent_total", help="Version Negotiation packets sent."
    ),
    # Connections and calls
    INITIALS := Counter(
        name="edge_initials_received_total", help="Initial packets that ask for a new connection."
    ),
    HANDSHAKES := Counter(
        name="edge_handshakes_total",
        help="Handshakes that ended.",
        labels={"result": ("completed", "failed")},
    ),
    RETRIES := Counter(
        name="edge_retries_sent_total", help="New connections sent back to prove their address (Retry)."
    ),
    REFUSED := Counter(
        name="edge_handshakes_refused_total", help="New connections refused with CONNECTION_REFUSED."
    ),
    CROWDED := Counter(
        name="edge_handshakes_crowded_total",
        help="New connections refused because their address has its share, or comes too often; see limits.",
    ),
    CONNECTIONS_OF_KEYS := Gauge(
        name="edge_connections_of_keys",
        help="Connections whose connection IDs are made with a generation of keys; during a rotation one may count twice.",
        labels={"generation": GENERATION},
    ),
    KEYS_VERSION := Gauge(
        name="edge_keys_version",
        help="The version of the key ring that all workers use; 0 while they differ.",
    ),
    KEYS_CREATED := Gauge(
        name="edge_keys_created_timestamp_seconds",
        unit="seconds",
        help="When the generation of keys was made that is in use, as Unix time.",
    ),
    ALIKE_INFO := Info(
        name="edge_alike_info",
        help="Always 1; the hash is of something that all nodes of a fleet have to have alike.",
        labels={"part": ALIKE, "hash": HASH},
    ),
    FILE_PROBLEMS := Gauge(
        name="edge_shared_file_problems",
        help="Files (keys, fleet, the admin certificate) that changed to something this node cannot use.",
    ),
    CONNECTIONS := Gauge(
        name="edge_connections",
        help="Open connections, by where they are: moved to the unicast address, still on the anycast "
        "address, or on the unicast address from the start.",
        labels={"outcome": OUTCOMES},
    ),
    MIGRATIONS := Counter(
        name="edge_migrations_total",
        help="Connections that moved from the anycast address to the unicast address.",
    ),
    ENGINE_ERRORS := Counter(
        name="edge_engine_errors_total",
        help="Connections ended because the QUIC engine failed on what they received.",
    ),
    CALLS := Gauge(
        name="edge_calls",
        help="Calls that are up, by what they run on or ran on last.",
        labels={"carrier": CARRIERS},
    ),
    CALLS_RESUMED := Counter(
        name="edge_calls_resumed_total", help="Calls whose caller came back on another connection."
    ),
    CALLS_CONTINUED := Counter(
        name="edge_calls_continued_total",
        help="Calls that went on here with a resume token, after another worker or node had them.",
    ),
    FRAMES_HEARD := Counter(
        name="edge_frames_heard_total", help="20 ms audio frames from callers, given to the backend."
    ),
    FRAMES_SAID := Counter(
        name="edge_frames_said_total", help="20 ms audio frames from the backend, given to callers."
    ),
    CALLERS_CUT := Counter(
        name="edge_callers_cut_total",
        help="Callers that were cut off for what they did, by the code they were told.",
        labels={"reason": ("limit", "too_far_behind", "protocol_error", "unauthorized")},
    ),
    UNDERRUNS := Counter(
        name="edge_playout_underruns_total", help="Times a caller reported that its playout ran dry."
    ),
    TCP_CONNECTIONS := Counter(
        name="edge_tcp_connections_total",
        help="TCP connections of callers, by what became of their beginning.",
        labels={"result": ("accepted", "refused", "tls_failed")},
    ),
    FRAMES_LOST := Counter(
        name="edge_frames_lost_total",
        help="20 ms audio frames from callers that did not come by their deadline.",
    ),
    FRAMES_LATE := Counter(
        name="edge_frames_late_total",
        help="20 ms audio frames from callers that came after they had been given up.",
    ),
    BARGE_INS := Counter(name="edge_barge_ins_total", help="Items that a caller interrupted for good."),
    BARGE_IN_BYTES := Counter(
        name="edge_barge_in_bytes_total",
        unit="bytes",
        help="Audio of interrupted items: on the wire and never played, or never put on the wire.",
        labels={"fate": ("wasted", "saved")},
    ),
    CANCEL := Histogram(
        name="edge_cancel_seconds",
        unit="seconds",
        help="From a caller's interruption, by half its round-trip time, to the end of sending.",
        buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    ),
    TURN_BACKEND := Histogram(
        name="edge_turn_backend_seconds",
        unit="seconds",
        help="From the end of a caller's speech to the backend's first audio.",
        buckets=TURN_BUCKETS,
    ),
    TURN_WIRE := Histogram(
        name="edge_turn_wire_seconds",
        unit="seconds",
        help="From the end of a caller's speech to the first audio on the wire.",
        buckets=TURN_BUCKETS,
    ),
    TURN_PLAYED := Histogram(
        name="edge_turn_played_seconds",
        unit="seconds",
        help="From the end of a caller's speech to the first audio played, as the caller reports it.",
        buckets=TURN_BUCKETS,
    ),
    TURN_EDGE := Histogram(
        name="edge_turn_added_seconds",
        unit="seconds",
        help="What of a turn's time was spent in this node.",
        buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
    ),
    # Load
    PRESSURE := Gauge(
        name="edge_pressure_ratio",
        unit="ratio",
        help="Smoothed load as a fraction of the configured capacity, by signal; the worst one decides.",
        labels={"signal": _values(Signal)},
    ),
    ADMISSION_STATE := State(
        name="edge_admission_state",
        help="How new callers are treated.",
        labels={"state": _values(AdmissionState)},
    ),
    REFUSE_PROBABILITY := Gauge(
        name="edge_refuse_probability_ratio",
        unit="ratio",
        help="The probability with which a new connection is refused.",
    ),
    DRAIN_PHASE := State(
        name="edge_drain_phase",
        help="How far the node is with being drained.",
        labels={"phase": DRAIN_PHASES},
    ),
    HANDOVERS_DONE := Counter(
        name="edge_handovers_total",
        help="Calls of a drained node: moved to another, refused to (and are up or asked again), ended by themselves,"
        " closed at the deadline, or lost with their worker.",
        labels={"outcome": HANDOVERS},
    ),
    LOOP_LAG := Gauge(
        name="edge_event_loop_lag_seconds",
        unit="seconds",
        help="The longest that a worker's event loop was late in the last interval; the worst worker.",
    ),
    WORKER_RESTARTS := Counter(
        name="edge_worker_restarts_total", help="Workers that died and were replaced."
    ),
    WORKERS := Gauge(
        name="edge_workers",
        help="Worker processes: of the generation that new calls go to, and of one that leaves.",
        labels={"standing": ("serving", "leaving")},
    ),
    RELOADS := Counter(
        name="edge_reloads_total",
        help="Orders to replace the workers by a new generation, by whether it came up.",
        labels={"result": RESULTS},
    ),
    # Routing
    POLICY_STATE := State(
        name="edge_policy_state",
        help="Where the node stands between announced and withdrawn.",
        labels={"state": POLICY_STATES},
    ),
    POLICY_DECISIONS := Counter(
        name="edge_policy_decisions_total",
        help="Decisions of the routing policy, by the state they led to.",
        labels={"state": POLICY_STATES},
    ),
    ROUTE_STATE := State(
        name="edge_route_state",
        help="What the speaker was last asked to do with a prefix.",
        labels={"prefix": PREFIX, "state": ("announced", "depreferred", "withdrawn")},
    ),
    ROUTE_DIVERGENCES := Counter(
        name="edge_route_divergences_total",
        help="Times the speaker's routes were not what it had confirmed; they are repaired.",
        labels={"kind": ("missing", "unexpected", "different")},
    ),
    SPEAKER_RESTARTS := Counter(
        name="edge_speaker_restarts_total", help="Times the BGP speaker died and was started again."
    ),
    GUARD_REFUSALS := Counter(
        name="edge_guard_refusals_total",
        help="Times a move for load was wanted and a guard began to refuse it.",
        labels={"guard": GUARDS},
    ),
    FLAP_PENALTY := Gauge(
        name="edge_bgp_flap_penalty",
        help="What a neighbor's routers are supposed to have counted against a prefix (RFC 2439).",
        labels={"prefix": PREFIX, "neighbor": NEIGHBOR},
    ),
    VIEW_RELIABLE := Gauge(
        name="edge_view_reliable",
        help="1 while what is known of the other nodes can be relied on; without that no move for load is made.",
    ),
    VIEW_AGE := Gauge(
        name="edge_view_age_seconds",
        unit="seconds",
        help="How long ago the view of the other nodes could last be relied on; 0 while it can.",
    ),
    VIEW_NODES := Gauge(
        name="edge_view_nodes",
        help="Other nodes that are seen, by the state they tell.",
        labels={"state": POLICY_STATES},
    ),
    OTHERS_SPARE := Gauge(
        name="edge_view_spare_calls",
        help="How many calls the other nodes can still take.",
    ),
    CONVERGENCE := Histogram(
        name="edge_bgp_convergence_seconds",
        unit="seconds",
        help="From a change of our own route until every reflector was seen to know it.",
        buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    ),
    ECHO_ALARMS := Counter(
        name="edge_bgp_echo_alarms_total",
        help="Times the reflectors went on seeing what we had changed 5 s before.",
        labels={"kind": ("still-announced", "not-announced")},
    ),
    BGP_NEIGHBOR_UP := Gauge(
        name="edge_bgp_neighbor_up",
        help="1 while the session with a BGP neighbor is established.",
        labels={"neighbor": NEIGHBOR, "role": NEIGHBOR_ROLES, "carries": NEIGHBOR_FAMILIES},
    ),
    SELF_PROBES := Counter(
        name="edge_self_probes_total",
        help="Rounds of handshakes of the node with itself, one through each service address.",
        labels={"result": RESULTS},
    ),
    SELF_PROBE_HANDSHAKES := Counter(
        name="edge_self_probe_handshakes_total",
        help="Handshakes of the node with itself that came to their end, through service and unicast addresses:"
        " edge_handshakes_total counts them with those of callers.",
    ),
    SELF_PROBE_DURATION := Histogram(
        name="edge_self_probe_duration_seconds",
        unit="seconds",
        help="How long a successful self-probe took.",
        buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0),
    ),
)

# What a worker calls its running totals -> the counter and the series they belong to.
WORKER_COUNTERS: Final[Mapping[str, tuple[Counter, tuple[str, ...]]]] = {
    "datagrams_in": (DATAGRAMS_RECEIVED, ()),
    "datagrams_out": (DATAGRAMS_SENT, ()),
    "unsent_congested": (DATAGRAMS_UNSENT, ("congested",)),
    "unsent_too_big": (DATAGRAMS_UNSENT, ("too_big",)),
    "unsent_unreachable": (DATAGRAMS_UNSENT, ("unreachable",)),
    "socket_drops": (SOCKET_DROPS, ()),
    "misrouted": (PACKETS_MISROUTED, ()),
    "forward_strays_sent": (FORWARDED, ("stray", "sent")),
    "forward_strays_received": (FORWARDED, ("stray", "received")),
    "forward_answers_sent": (FORWARDED, ("answer", "sent")),
    "forward_answers_received": (FORWARDED, ("answer", "received")),
    **{f"forward_dropped_{reason}": (FORWARD_DROPPED, (reason,)) for reason in FORWARD_DROPS},
    "resets_sent": (STATELESS_RESETS, ()),
    "version_negotiations": (VERSION_NEGOTIATIONS, ()),
    "initials": (INITIALS, ()),
    "dropped_malformed": (PACKETS_DROPPED, ("malformed",)),
    "dropped_small_initial": (PACKETS_DROPPED, ("small_initial",)),
    "dropped_undecryptable": (PACKETS_DROPPED, ("undecryptable",)),
    "dropped_unroutable": (PACKETS_DROPPED, ("unroutable",)),
    "dropped_dead": (PACKETS_DROPPED, ("dead",)),
    "dropped_looped": (PACKETS_DROPPED, ("looped",)),
    "dropped_excess": (PACKETS_DROPPED, ("excess",)),
    "dropped_newcomers": (PACKETS_DROPPED, ("newcomers",)),
    "migrated": (MIGRATIONS, ()),
    "engine_errors": (ENGINE_ERRORS, ()),
    "handshakes_completed": (HANDSHAKES, ("completed",)),
    "handshakes_failed": (HANDSHAKES, ("failed",)),
    "retried": (RETRIES, ()),
    "refused": (REFUSED, ()),
    "crowded": (CROWDED, ()),
    "frames_heard": (FRAMES_HEARD, ()),
    "frames_said": (FRAMES_SAID, ()),
    "underruns": (UNDERRUNS, ()),
    "frames_lost_up": (FRAMES_LOST, ()),
    "frames_late_up": (FRAMES_LATE, ()),
    "barge_ins": (BARGE_INS, ()),
    "wasted_bytes": (BARGE_IN_BYTES, ("wasted",)),
    "saved_bytes": (BARGE_IN_BYTES, ("saved",)),
    "resumed": (CALLS_RESUMED, ()),
    "continued": (CALLS_CONTINUED, ()),
    "cut_limit": (CALLERS_CUT, ("limit",)),
    "cut_too_far_behind": (CALLERS_CUT, ("too_far_behind",)),
    "cut_protocol_error": (CALLERS_CUT, ("protocol_error",)),
    "cut_unauthorized": (CALLERS_CUT, ("unauthorized",)),
    "tcp_accepted": (TCP_CONNECTIONS, ("accepted",)),
    "tcp_refused": (TCP_CONNECTIONS, ("refused",)),
    "tls_failed": (TCP_CONNECTIONS, ("tls_failed",)),
}

# What a worker calls what it has measured, in milliseconds -> the histogram that it belongs to.
WORKER_OBSERVATIONS: Final[Mapping[str, Histogram]] = {
    "cancel_ms": CANCEL,
    "turn_backend_ms": TURN_BACKEND,
    "turn_wire_ms": TURN_WIRE,
    "turn_played_ms": TURN_PLAYED,
    "turn_edge_added_ms": TURN_EDGE,
}
