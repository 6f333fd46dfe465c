"""The longer documents that a node hands out on its admin socket, for ``edgectl`` and for scripts.

They are plain: addresses, prefixes and states are text, so that who reads them needs to know neither BGP nor the
policy. Keys are stable; new ones may come. Times that end in ``_s`` are durations up to `NodeExplanation.time`,
``at_wall`` is a moment; both in seconds, moments since 1970. Where a number has no limit (an infinite budget, a
fleet in which nobody ever moved), JSON has null.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from edge.runtime.holds import Hold
from edge.runtime.lease import Holder

API_VERSION: Final = "edge/v1"


class TopLevel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """One that stands alone: it begins with its kind and the version of its form."""

    api_version: Literal["edge/v1"] = msgspec.field(name="apiVersion", default=API_VERSION)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one condition of a move stands, in a sentence with the numbers of now.

    ``left_s`` is how long until it is met by itself; null where waiting does not help.
    """

    name: str
    met: bool
    sentence: str
    left_s: float | None


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A move that could come next; the first of ``conditions`` is what makes it wanted, the others what allows it."""

    target: str
    voluntary: bool
    conditions: tuple[Finding, ...]


class PolicyExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The policy's own part: see ``bgp.explain.Explanation``, of which it has the names."""

    state: str
    in_effect: str
    since_s: float
    reason: str
    held_by: tuple[str, ...]
    ways: tuple[Way, ...]


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Pressure is a fraction of capacity, by signal and the worst of them; load and capacity are calls."""

    pressure: float
    pressure_signal: str
    by_signal: dict[str, float]
    admission: str
    refusal_ratio: float
    load_calls: float
    capacity_calls: float


class SeenNode(msgspec.Struct, frozen=True, kw_only=True):
    """Another node as the sessions of the fleet show it. ``load`` is a fraction of its ``capacity`` (calls).

    ``claim``: it wants to leave. ``since_s``: how long it has been in this state. ``seen_by``: the neighbors that
    tell of it.
    """

    address: str
    state: str
    claim: bool
    load: float
    capacity: int
    since_s: float
    seen_by: tuple[str, ...]


class OthersSum(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard makes of them: see ``bgp.view.Others``."""

    synced: bool
    announcing: int
    spare: float
    claimant: str
    settled_s: float | None


class FleetView(msgspec.Struct, frozen=True, kw_only=True):
    """``problem`` says why the view cannot be relied on, empty if it can."""

    problem: str
    nodes: tuple[SeenNode, ...]
    others: OthersSum


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What ``neighbor`` has counted against ``prefix``, as far as we know how it counts (``profile``)."""

    prefix: str
    neighbor: str
    penalty: float
    budget: float | None
    profile: str
    suppressed_likely: bool


class LedgerSum(msgspec.Struct, frozen=True, kw_only=True):
    """``penalty`` and ``budget`` are those nearest to their limit, at ``where``; empty when nobody counts."""

    penalty: float
    budget: float | None
    where: str
    entries: tuple[LedgerEntry, ...]


class Probing(msgspec.Struct, frozen=True, kw_only=True):
    """Self-probes in a row up to now, and the last problem."""

    passed: int
    failed: int
    problem: str


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Each neighbor's address, ``up`` or ``down``."""

    neighbors: dict[str, str]


class DecisionTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A move of the policy; not ``carried_out`` where the policy only observes."""

    at_wall: float
    before: str = msgspec.field(name="from")
    after: str = msgspec.field(name="to")
    carried_out: bool
    reason: str


class DrainedCall(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call: see ``edge.drain.Entry``, of which it has the names."""

    call_id: str
    worker: int
    fate: str
    to: str
    node: str
    took_ms: float | None
    frames_missing: int | None


class DrainStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a drain is. ``phase`` is one of ``edge.drain.Phase``, and ``since_s`` how long it has lasted.

    ``left``: calls that are up. ``fates``: how many calls have met each of ``edge.drain.Fate``. ``deadline_in_s`` is null
    without one.
    """

    phase: str
    since_s: float
    hand_over: bool
    deadline_in_s: float | None
    left: int
    fates: dict[str, int]


class DrainReport(TopLevel, frozen=True, kw_only=True):
    """The answer of ``GET /drain``: the same of the last drain of this life, with its calls.

    ``phase`` is "ended" once the node is taken back, and "none" if it has not been drained.
    """

    node: str
    drain: DrainStatus
    calls: tuple[DrainedCall, ...]


class NodeExplanation(TopLevel, frozen=True, kw_only=True):
    """The answer of ``GET /explain``. ``decisions`` are the last 20, oldest first."""

    node: str
    site: str
    time: float
    state: str
    since_s: float
    announced: bool
    deprefer: bool
    reason: str
    hold: Hold | None
    explanation: PolicyExplanation
    numbers: Numbers
    view: FleetView
    ledger: LedgerSum
    probe: Probing
    bgp: Sessions | None
    decisions: tuple[DecisionTaken, ...]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One BGP session. ``state`` is ``up`` or ``down``, ``since_s`` how long (null: it has never been up).

    ``last_reason`` is why it went down last. ``damping`` is how we suppose that it counts our changes, ``received``
    how many paths it tells us, ``bfd`` the state of the BFD session beside it, null without one.
    """

    address: str
    role: str
    asn: int
    state: str
    since_s: float | None
    last_reason: str
    damping: str
    received: int
    bfd: str | None


class BgpPeers(TopLevel, frozen=True, kw_only=True):
    """The answer of ``GET /bgp/peers``."""

    node: str
    peers: tuple[Peer, ...]


class AnnouncedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """What ``neighbor`` is to hear; ``confirmed`` once the speaker was seen to tell it so."""

    neighbor: str
    prefix: str
    next_hop: str
    as_path: tuple[int, ...]
    med: int | None
    communities: tuple[str, ...]
    confirmed: bool


class ReceivedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """What ``neighbor`` told us; ``own`` if it is our route come back. ``originator`` is who announced it."""

    neighbor: str
    prefix: str
    path_id: int
    next_hop: str
    originator: str
    communities: tuple[str, ...]
    own: bool


class BgpRoutes(TopLevel, frozen=True, kw_only=True):
    """The answer of ``GET /bgp/routes``."""

    node: str
    announced: tuple[AnnouncedRoute, ...]
    received: tuple[ReceivedRoute, ...]


class Lease(TopLevel, frozen=True, kw_only=True):
    """The answer of ``GET /lease``, and of those that take it and give it back; only who takes it is told the ``token``."""

    node: str
    holder: Holder | None
    token: str | msgspec.UnsetType = msgspec.UNSET


class FleetOperation(TopLevel, frozen=True, kw_only=True):
    """The answer of ``POST /operation``: the note as the status shows it."""

    node: str
    operation: dict[str, Any] | None
