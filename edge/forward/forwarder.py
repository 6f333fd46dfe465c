"""A packet that reached the wrong node finds its owner, and the owner's answer its caller. Without a socket.

The connection ID of a stray names its owner. The stray travels there with its path, and the owner takes it as if it had
arrived there by itself: it answers from the same service address, directly (`ReturnPath.DIRECT`) or, where networks on
the way drop what does not come from where it belongs, through the node that the stray had reached. Behind a balancer
that writes its target's address into each packet, every node has a service address of its own, and stands in for the
others with it.

A stray is passed on once. What its receiver does not own either is dropped: two nodes that disagree about who owns what
must not play ball with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.bucket import TokenBucket
from edge.forward.packet import (
    HEAD_BYTES,
    MAX_PAYLOAD,
    Head,
    Kind,
    MalformedPacket,
    decode_body,
    encode_body,
)
from edge.forward.replay import ReplayWindow
from edge.keys import KeyRing, Purpose
from edge.overload.clients import Rates, client_of
from edge.quic.path import Path

Address = tuple[str, int]

PER_CLIENT_PER_S: Final = 5_000.0
"""Strays of one client address that are passed on: a call sends 70 a second, and many callers share an address."""
PER_NODE_PER_S: Final = 50_000.0
"""Packets to one node, and from one: several times what a worker can serve."""
MAX_INGRESSES: Final = 65_536
"""Paths whose answers go back through another node, that are remembered; the one unused for longest goes first."""


class ReturnPath(StrEnum):
    """How answers to a caller travel whose packets reach another node."""

    DIRECT = "direct"
    INGRESS = "ingress"


class Member(NamedTuple):
    """A worker of the fleet: its node's server ID, and its octet."""

    server_id: bytes
    worker: int


@dataclass(slots=True)
class ForwardCounters:
    """Packets, since the beginning."""

    strays_sent: int = 0
    strays_received: int = 0
    answers_sent: int = 0
    answers_received: int = 0
    dropped_unknown_owner: int = 0  # no node of the fleet has that server ID
    dropped_too_big: int = 0
    dropped_limited: int = 0
    dropped_malformed: int = 0
    dropped_forged: int = 0  # of no node of the fleet, not authentic, or sealed for another node
    dropped_replayed: int = 0
    dropped_foreign: int = 0  # about an address that this node does not serve


class Delivery(NamedTuple):
    """A caller's datagram, as if it had arrived here."""

    path: Path
    data: bytes


class Sending(NamedTuple):
    """An owner's answer, to leave from ``path``'s local address to the caller."""

    path: Path
    data: bytes


@dataclass(slots=True)
class _Peer:
    """What is known of a node; ``ciphers`` by generation."""

    outgoing: TokenBucket = field(default_factory=lambda: TokenBucket(PER_NODE_PER_S, PER_NODE_PER_S))
    incoming: TokenBucket = field(default_factory=lambda: TokenBucket(PER_NODE_PER_S, PER_NODE_PER_S))
    ciphers: dict[int, AESGCM] = field(default_factory=dict)
    windows: dict[tuple[int, int], ReplayWindow] = field(default_factory=dict)  # by generation and worker


class Forwarder:
    """One worker's. ``owners``: where each node of the fleet takes packets, this one included, for its other workers.

    ``counter``: from where to count; the wall-clock time in nanoseconds. ``local`` are the service addresses; unless they
    are ``shared`` by all nodes, there is at most one of each family.
    """

    def __init__(
        self,
        me: Member,
        keys: KeyRing,
        owners: Mapping[bytes, Address],
        *,
        local: frozenset[str],
        counter: int,
        return_path: ReturnPath = ReturnPath.DIRECT,
        shared: bool = True,
    ) -> None:
        self.counters = ForwardCounters()
        self._me = me
        self._local = local
        self._stands_in = {} if shared else {":" in address: address for address in local}
        self._counter = counter
        self._return_path = return_path
        self._clients = Rates(PER_CLIENT_PER_S, int(PER_CLIENT_PER_S))
        self._ingresses: OrderedDict[Path, Member] = OrderedDict()
        self._peers: dict[bytes, _Peer] = {}
        self._owners: Mapping[bytes, Address] = {}
        self.set_keys(keys)
        self.set_owners(owners)

    def set_keys(self, keys: KeyRing) -> None:
        """From now on. What was sealed with a generation that is gone is not opened any more."""
        self._keys = keys
        key = keys.issuing.key(Purpose.FORWARD, self._me.server_id)
        self._seals = AESGCM(key)
        numbers = {generation.number for generation in keys}
        for peer in self._peers.values():
            peer.ciphers.clear()  # a number may stand for another secret now
            peer.windows = {who: window for who, window in peer.windows.items() if who[0] in numbers}

    def set_owners(self, owners: Mapping[bytes, Address]) -> None:
        """These nodes are the fleet from now on."""
        self._owners = owners
        known = self._peers
        self._peers = {server_id: known.get(server_id) or _Peer() for server_id in owners}

    def pass_on(self, path: Path, owner: Member, data: bytes, now: float) -> tuple[bytes, Address] | None:
        """The packet for the owner of a stray, and where to send it; None if it is dropped."""
        if owner.server_id not in self._owners:
            self.counters.dropped_unknown_owner += 1
        elif len(data) > MAX_PAYLOAD:
            self.counters.dropped_too_big += 1
        elif not (
            self._clients.take(client_of(path.host), now)
            and self._peers[owner.server_id].outgoing.take(1, now)
        ):
            self.counters.dropped_limited += 1
        else:
            self.counters.strays_sent += 1
            return self._sealed(Kind.STRAY, owner, path, data)
        return None

    def answer(self, path: Path, data: bytes) -> tuple[bytes, Address] | None:
        """The packet for the node through which this datagram of ours has to go; None: send it yourself."""
        ingress = self._ingresses.get(path)
        if ingress is None or ingress.server_id not in self._owners or len(data) > MAX_PAYLOAD:
            return None
        self.counters.answers_sent += 1
        return self._sealed(Kind.ANSWER, ingress, path, data)

    def arrived(self, path: Path) -> None:
        """Something of a connection came on ``path`` by itself: answers can go the same way.

        Not for anything else: its sender may be forged by somebody who wants the answers to go astray.
        """
        if self._ingresses:
            self._ingresses.pop(path, None)

    def receive(self, packet: bytes, now: float) -> Delivery | Sending | None:
        """A packet that arrived where packets of the fleet do."""
        try:
            head = Head.decode(packet)
            peer = self._peers.get(head.sender)
            body = None if peer is None else self._opened(peer, head, packet)
            if peer is None or body is None:
                self.counters.dropped_forged += 1
                return None
            path, data = decode_body(body)
        except MalformedPacket:
            self.counters.dropped_malformed += 1
            return None
        path = self._as_ours(path)
        window = peer.windows.setdefault((head.generation, head.sender_worker), ReplayWindow())
        if not window.accept(head.counter):
            self.counters.dropped_replayed += 1
        elif path.local not in self._local or len(data) > MAX_PAYLOAD:
            self.counters.dropped_foreign += 1
        elif not peer.incoming.take(1, now):
            self.counters.dropped_limited += 1
        elif head.kind is Kind.ANSWER:
            self.counters.answers_received += 1
            return Sending(path, data)
        else:
            self.counters.strays_received += 1
            if self._return_path is ReturnPath.INGRESS and head.sender != self._me.server_id:
                self._remember(path, Member(head.sender, head.sender_worker))
            return Delivery(path, data)
        return None

    def _sealed(self, kind: Kind, to: Member, path: Path, data: bytes) -> tuple[bytes, Address]:
        self._counter += 1
        head = Head(to.worker, kind, self._keys.issue, self._me.server_id, self._me.worker, self._counter)
        encoded = head.encode()
        body = self._seals.encrypt(head.nonce, encode_body(path, data), encoded + to.server_id)
        return encoded + body, self._owners[to.server_id]

    def _opened(self, peer: _Peer, head: Head, packet: bytes) -> bytes | None:
        cipher = peer.ciphers.get(head.generation)
        if cipher is None:
            generation = self._keys.find(head.generation)
            if generation is None:
                return None
            cipher = peer.ciphers[head.generation] = AESGCM(generation.key(Purpose.FORWARD, head.sender))
        try:
            return cipher.decrypt(head.nonce, packet[HEAD_BYTES:], packet[:HEAD_BYTES] + self._me.server_id)
        except InvalidTag:
            return None

    def _as_ours(self, path: Path) -> Path:
        """What went to another node's service address is as good as if it had gone to ours."""
        own = self._stands_in.get(":" in path.local, path.local)
        return path if own == path.local else Path(path.host, path.port, own)

    def _remember(self, path: Path, ingress: Member) -> None:
        self._ingresses[path] = ingress
        self._ingresses.move_to_end(path)
        if len(self._ingresses) > MAX_INGRESSES:
            self._ingresses.popitem(last=False)
