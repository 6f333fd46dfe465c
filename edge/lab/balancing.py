"""How an AWS Network Load Balancer with a ``TCP_QUIC`` listener routes, as far as AWS has written it down. Pure.

    packet                                         goes to
    QUIC, its connection ID names a target         that target, wherever the packet comes from
    QUIC Initial or 0-RTT, it names none           a healthy target by a hash of the flow, the same while the flow lasts
    QUIC, anything else                            nowhere; counted as AWS does
    TCP, of a connection that has begun            where its first packet went
    TCP, the first packet of a connection          a healthy target by a hash of the flow

A target that was deregistered gets no newcomers, and keeps what it has for `DRAINING_S`; after that its server ID is
unknown. Packets keep the client's address and port; where they go is written over with the target's, and in answers the
target's with the balancer's. docs/how-to/aws-nlb.md says which of AWS's documents says what, and what none of them says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from edge.lab.rewriting import TCP, UDP, Address, Packet, read, readdressed
from edge.quic.header import LONG_HEADER_BIT, VERSION_1, PacketType, parse_long_header

DRAINING_S: Final = 300.0
IDLE_S: Final = {UDP: 120.0, TCP: 350.0}
"""How long a flow without packets is remembered."""

CID_BYTES: Final = 16
_SERVER_ID: Final = slice(1, 9)
_ROTATION_SHIFT: Final = 5


class Target(NamedTuple):
    """``address`` is where its packets go; ``server_id``, 8 bytes, is its ``QuicServerId``."""

    address: Address
    server_id: bytes


@dataclass(slots=True)
class BalancerCounters:
    """Packets of clients, since the beginning."""

    by_server_id: int = 0
    by_flow: int = 0
    unknown_server_id: int = 0
    other_version: int = 0
    refused: int = 0  # nobody is healthy, or a TCP connection that never began


@dataclass(slots=True)
class _Registered:
    target: Target
    healthy: bool = True
    leaves_at: float | None = None  # when a deregistered one has been drained

    def is_gone(self, now: float) -> bool:
        return self.leaves_at is not None and self.leaves_at <= now


_Flow = tuple[int, Address]


class Balancer:
    """One listener. ``seed`` makes the hash of flows; times are monotonic, in seconds."""

    def __init__(self, listener: Address, *, seed: int = 0) -> None:
        self.counters = BalancerCounters()
        self.reads_connection_ids = True
        """False makes it a balancer of plain UDP, which it is not."""
        self._listener = listener
        self._seed = seed.to_bytes(8, "big")
        self._targets: dict[bytes, _Registered] = {}
        self._flows: dict[_Flow, tuple[_Registered, float]] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(registered.target for registered in self._targets.values())

    def register(self, target: Target) -> None:
        """Give it newcomers. Raises ValueError for a server ID that is taken, or not 8 bytes long."""
        if len(target.server_id) != _SERVER_ID.stop - _SERVER_ID.start:
            raise ValueError(f"server ID of {len(target.server_id)} bytes: AWS takes 8")
        known = self._targets.get(target.server_id)
        if known is not None and known.leaves_at is None:
            raise ValueError(f"server ID {target.server_id.hex()}: is registered")
        self._targets[target.server_id] = _Registered(target)

    def deregister(self, server_id: bytes, now: float) -> None:
        """Give it no newcomers, and after `DRAINING_S` nothing."""
        self._targets[server_id].leaves_at = now + DRAINING_S

    def set_health(self, server_id: bytes, healthy: bool) -> None:
        self._targets[server_id].healthy = healthy

    def translate(self, data: bytes, now: float) -> bytes | None:
        """A packet as it goes on, from a client or from a target; None if it does not."""
        packet = read(data)
        if packet is None:
            return None
        if packet.destination == self._listener:
            target = self.route(packet, now)
            return None if target is None else readdressed(data, destination=target.address)
        if any(packet.source == target.address for target in self.targets):
            return readdressed(data, source=self._listener)
        return data

    def route(self, packet: Packet, now: float) -> Target | None:
        """Where a packet for the listener goes."""
        if packet.protocol != UDP:
            return self._by_flow(packet, now, begins=packet.opens)
        if not self.reads_connection_ids:
            return self._by_flow(packet, now, begins=True)
        header = None
        cid = packet.payload[1 : 1 + CID_BYTES]
        if packet.payload and packet.payload[0] & LONG_HEADER_BIT:
            header = parse_long_header(packet.payload)
            if header is None or header.version != VERSION_1:
                self.counters.other_version += 1
                return None
            cid = header.destination_cid
        if len(cid) == CID_BYTES and cid[0] >> _ROTATION_SHIFT == 0:
            named = self._targets.get(cid[_SERVER_ID])
            if named is not None and not named.is_gone(now):
                self.counters.by_server_id += 1
                return named.target
        if header is not None and header.type in (PacketType.INITIAL, PacketType.ZERO_RTT):
            return self._by_flow(packet, now, begins=True)
        self.counters.unknown_server_id += 1
        return None

    def _by_flow(self, packet: Packet, now: float, *, begins: bool) -> Target | None:
        flow = packet.protocol, packet.source
        known = self._flows.get(flow)
        if known is None or not self._lasts(flow, known, now):
            newcomer = self._hashed(packet) if begins else None
            if newcomer is None:
                self.counters.refused += 1
                return None
            self._flows = {one: last for one, last in self._flows.items() if self._lasts(one, last, now)}
            known = newcomer, now
        self._flows[flow] = known[0], now
        self.counters.by_flow += 1
        return known[0].target

    def _hashed(self, packet: Packet) -> _Registered | None:
        able = [one for one in self._targets.values() if one.healthy and one.leaves_at is None]
        if not able:
            return None
        five = f"{packet.protocol} {packet.source} {packet.destination}".encode()
        digest = hashlib.blake2b(five, digest_size=8, key=self._seed).digest()
        return able[int.from_bytes(digest, "big") % len(able)]

    @staticmethod
    def _lasts(flow: _Flow, known: tuple[_Registered, float], now: float) -> bool:
        registered, used_at = known
        return not registered.is_gone(now) and now - used_at <= IDLE_S[flow[0]]
