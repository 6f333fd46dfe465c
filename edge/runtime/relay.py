"""A worker's part in the fleet's forwarding: `edge.forward` on sockets of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.forward import Delivery, ForwardCounters, Forwarder, Member, Sending
from edge.forward.forwarder import Address
from edge.keys import KeyRing
from edge.quic import BEHIND_NLB, PacketMisrouted, Path
from edge.runtime.messages import Owners, WorkerSettings
from edge.runtime.sockets import UdpSocket, is_ipv6


class Relay:
    """``sockets`` by unicast address; without any, nothing is passed on and nothing taken."""

    def __init__(
        self,
        settings: WorkerSettings,
        keys: KeyRing,
        sockets: Mapping[str, UdpSocket],
        unix_ns: int,
    ) -> None:
        self._sockets = {is_ipv6(address): udp for address, udp in sockets.items()}
        self._forwarder = Forwarder(
            Member(settings.server_id, settings.worker),
            keys,
            self._reachable(settings.owners),
            local=frozenset(settings.service),
            counter=unix_ns,
            return_path=settings.return_path,
            shared=settings.cid_profile != BEHIND_NLB,
        )

    @property
    def counters(self) -> ForwardCounters:
        return self._forwarder.counters

    def set_keys(self, keys: KeyRing) -> None:
        self._forwarder.set_keys(keys)

    def set_owners(self, owners: Owners) -> None:
        self._forwarder.set_owners(self._reachable(owners))

    def arrived(self, path: Path) -> None:
        """Something of a connection came on ``path`` by itself."""
        self._forwarder.arrived(path)

    def pass_on(self, stray: PacketMisrouted, now: float) -> UdpSocket | None:
        """Send a stray to its owner; the socket that it left by."""
        owner = Member(stray.server_id, stray.worker)
        return self._send(self._forwarder.pass_on(stray.path, owner, stray.data, now))

    def answer(self, path: Path, data: bytes) -> UdpSocket | None:
        """Send a datagram of ours through another node, if that is its way; the socket that it left by."""
        return self._send(self._forwarder.answer(path, data))

    def drain(self, udp: UdpSocket, limit: int, now: float) -> Iterator[Delivery | Sending]:
        """What has arrived on one of the sockets and is good."""
        for packet, _, _ in udp.drain(limit):
            found = self._forwarder.receive(packet, now)
            if found is not None:
                yield found

    def _send(self, sealed: tuple[bytes, Address] | None) -> UdpSocket | None:
        if sealed is None:
            return None
        packet, (host, port) = sealed
        udp = self._sockets[is_ipv6(host)]
        udp.send(packet, host, port)
        return udp

    def _reachable(self, owners: Owners) -> dict[bytes, Address]:
        """The first address of each node that is of a family which we have, too."""
        return {
            bytes.fromhex(server_id): address
            for server_id, addresses in owners.items()
            for address in [next((one for one in addresses if is_ipv6(one[0]) in self._sockets), None)]
            if address is not None
        }
