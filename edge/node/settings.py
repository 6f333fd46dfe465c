"""What a worker is told, out of what the operator wrote."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from edge.cid.steering import Slots, steer_callers, steer_forwarded
from edge.config import Credentials, NodeConfig, backend_names
from edge.config.fleet_file import FleetFile
from edge.keys import render
from edge.node.shared_files import SharedFiles
from edge.quic import CID_LENGTHS, CidProfile
from edge.runtime.messages import AuthSettings, Owners, WorkerSettings
from edge.runtime.sockets import host_port, is_ipv6, steer

Opened = dict[str, list[socket.socket]]
"""By local address, one for each slot of a worker."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """All that the node listens on for callers and for other nodes. Workers come and go; the sockets stay."""

    udp: Opened
    forward: Opened
    tcp: dict[str, socket.socket]

    def __iter__(self) -> Iterator[socket.socket]:
        return chain.from_iterable((*self.udp.values(), *self.forward.values(), self.tcp.values()))

    def steer(self, slots: Slots, profile: CidProfile) -> None:
        """Have the kernel give packets to whoever has these slots. Raises `EdgeError` if it does not."""
        for group in self.udp.values():
            steer(group[0], steer_callers(slots, CID_LENGTHS[profile]))
        for group in self.forward.values():
            steer(group[0], steer_forwarded(slots))


def owners(config: NodeConfig, fleet: FleetFile | None) -> Owners:
    """Where every node of the fleet takes packets that have reached another."""
    port = config.forward.port
    return {
        bytes(node.server_id).hex(): [(str(address), port) for address in node.addresses]
        for node in (fleet.nodes if fleet else ())
    }


def worker_settings(
    config: NodeConfig,
    slot: int,
    credentials: Credentials,
    files: SharedFiles,
    token_keys: str,
    sockets: Sockets,
) -> WorkerSettings:
    port = config.service.port
    unicast = {is_ipv6(address): (str(address), port) for address in config.unicast.addresses}
    offered = unicast if config.quic.preferred_address else {}
    plain = config.web.plain_listen
    name = config.unicast.name or str(config.unicast.addresses[0])
    name_v6 = config.unicast.name or unicast.get(True, (None,))[0]
    return WorkerSettings(
        node=str(config.node.name),
        worker=slot,
        siblings=[],
        sockets=_descriptors(sockets.udp, slot),
        forward_sockets=_descriptors(sockets.forward, slot),
        owners=owners(config, files.fleet),
        return_path=config.forward.return_path,
        service=[str(address) for address in config.service.addresses],
        preferred_v4=offered.get(False),
        preferred_v6=offered.get(True),
        unicast_url=f"https://{host_port(name, port)}",
        unicast_url_v6=None if name_v6 is None else f"https://{host_port(name_v6, port)}",
        unicast_goaway=config.quic.unicast_goaway and name not in map(str, config.service.addresses),
        certificate=credentials.certificate,
        private_key=credentials.private_key,
        server_id=bytes(config.node.server_id),
        keys=render(files.keys),
        cid_profile=config.cid.profile,
        nonce_start=0,
        idle_timeout_s=config.quic.idle_timeout_s,
        max_connections=config.quic.max_connections,
        max_handshakes=config.quic.max_handshakes,
        backend=config.voice.backend,
        backends={name: config.backends.get(name, {}) for name in backend_names(config)},
        lead_ms=config.voice.lead_ms,
        deadline=config.voice.deadline,
        resume_s=config.voice.resume_s,
        listeners={address: sock.fileno() for address, sock in sockets.tcp.items()},
        plain_listener="" if plain is None else host_port(plain.host, plain.port),
        page=config.web.page,
        auth=AuthSettings(token_keys, config.auth.audience, config.auth.origins),
        limits=config.limits,
    )


def _descriptors(opened: Opened, slot: int) -> dict[str, int]:
    return {address: sockets[slot].fileno() for address, sockets in opened.items()}
