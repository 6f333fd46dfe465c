"""What becomes of a datagram that belongs to no connection.

It is a newcomer, a stray of another node, or a remnant of something that is gone. The first packet tells:

    first packet           its connection ID says   becomes
    unsupported version    (anything)               Version Negotiation
    Initial                another, that we know    `PacketMisrouted`: a handshake that began there
    Initial                anything else            what `Gate` decides
    1-RTT                  us                       stateless reset: were it alive, we would know it
    1-RTT, Handshake       another                  `PacketMisrouted`; never a reset, it may be alive there
    anything else                                   dropped and counted

*Another* is another node, or another worker of ours that is there: what belonged to one that is gone is answered by
whoever gets it. A client makes up the connection ID of its first Initial, and a
made-up one can look like a node's. Hence an Initial is another's only if that node is known; anything else would
turn some newcomers away.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

from edge.bucket import TokenBucket
from edge.cid import CidError, DecodedCid
from edge.quic.counters import Counters
from edge.quic.events import PacketMisrouted
from edge.quic.gate import Admit, AskAgain, Gate, Refuse
from edge.quic.header import (
    FIXED_BIT,
    MIN_CHOSEN_CID,
    MIN_INITIAL_DATAGRAM,
    LongHeader,
    PacketType,
)
from edge.quic.packets import refusal, retry, version_negotiation
from edge.quic.path import Path
from edge.quic.reset import can_reset, stateless_reset
from edge.quic.secrets import Secrets

RESETS_PER_S = 100.0


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Begin a connection with this client."""

    chosen_cid: bytes
    admit: Admit


Answer = list[bytes] | PacketMisrouted | None
"""Datagrams to send back on the same path, an event, or nothing."""


class Reception:
    """Keeps nothing about anybody; `counters` says what it did."""

    def __init__(
        self,
        counters: Counters,
        secrets: Secrets,
        gate: Gate,
        *,
        peers: Container[bytes],
        siblings: Container[int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._counters = counters
        self._gate = gate
        self._secrets = secrets
        self._peers = peers
        self._siblings = siblings
        self._entropy = entropy
        self._resets = TokenBucket(RESETS_PER_S, RESETS_PER_S)

    def receive_short(self, data: bytes, path: Path, now: float) -> Answer:
        """A datagram that begins with a short header."""
        cid = self._cid_of_short(data)
        if cid is None:
            self._counters.dropped_malformed += 1
            return None
        owner = self._secrets.decode(cid)
        if owner is None:
            self._counters.dropped_unroutable += 1
            return None
        if not self._is_ours(owner):
            return self._misrouted(data, path, owner)
        if not can_reset(len(data)) or not self._resets.take(1, now):
            self._counters.dropped_dead += 1
            return None
        self._counters.resets_sent += 1
        return [stateless_reset(token, len(data), self._entropy) for token in self._secrets.reset_tokens(cid)]

    def receive_long(
        self, header: LongHeader, data: bytes, path: Path, now: float, *, connections: int, handshakes: int
    ) -> Answer | Newcomer:
        """A datagram that begins with ``header``, while there are so many connections and handshakes."""
        match header.type:
            case PacketType.UNSUPPORTED:
                return self._negotiate(header, data)
            case PacketType.INITIAL:
                return self._receive_initial(header, data, path, now, connections, handshakes)
            case PacketType.HANDSHAKE:
                owner = self._secrets.decode(header.destination_cid)
                if owner is None:
                    self._counters.dropped_unroutable += 1
                elif not self._is_ours(owner):
                    return self._misrouted(data, path, owner)
                else:
                    self._counters.dropped_dead += 1
            case PacketType.ZERO_RTT | PacketType.RETRY | PacketType.VERSION_NEGOTIATION:
                # Early data that overtook its Initial, or packets that only servers send.
                self._counters.dropped_unroutable += 1
        return None

    def _receive_initial(
        self, header: LongHeader, data: bytes, path: Path, now: float, connections: int, handshakes: int
    ) -> Answer | Newcomer:
        if len(data) < MIN_INITIAL_DATAGRAM or len(header.destination_cid) < MIN_CHOSEN_CID:
            self._counters.dropped_small_initial += 1
            return None
        owner = self._secrets.decode(header.destination_cid)
        # One that brings a good token has just been told by some node to come back, and any node will do.
        if (
            owner is not None
            and not self._is_ours(owner)
            and (owner.server_id == self._secrets.server_id or owner.server_id in self._peers)
            and not self._gate.recognises(header, path, now)
        ):
            return self._misrouted(data, path, owner)
        self._counters.initials += 1
        decision = self._gate.judge(header, path, now, connections=connections, handshakes=handshakes)
        match decision:
            case Admit():
                return Newcomer(header.destination_cid, decision)
            case AskAgain(retry_cid, token):
                self._counters.retried += 1
                return [retry(header, retry_cid, token)]
            case Refuse(code, crowded):
                self._counters.refused += 1
                self._counters.crowded += crowded
                return [refusal(header, code)]

    def _is_ours(self, owner: DecodedCid) -> bool:
        ours = self._secrets
        return owner.server_id == ours.server_id and (
            owner.worker == ours.worker or owner.worker not in self._siblings
        )

    def _negotiate(self, header: LongHeader, data: bytes) -> Answer:
        if len(data) < MIN_INITIAL_DATAGRAM:
            self._counters.dropped_small_initial += 1
            return None
        self._counters.version_negotiations += 1
        return [version_negotiation(header, self._entropy)]

    def _misrouted(self, data: bytes, path: Path, owner: DecodedCid) -> PacketMisrouted:
        self._counters.misrouted += 1
        return PacketMisrouted(path, owner.server_id, owner.worker, data)

    def _cid_of_short(self, data: bytes) -> bytes | None:
        """The connection ID of a short header; None when the bytes cannot be one."""
        if len(data) < 2 or not data[0] & FIXED_BIT:
            return None
        try:
            end = 1 + self._secrets.length_of(data[1])
        except CidError:
            return b""
        return data[1:end] if len(data) >= end else None
