"""What a worker is told, out of what the operator wrote."""

from __future__ import annotations

from edge.config import Credentials, NodeConfig, backend_names
from edge.keys import KeyRing, render
from edge.runtime.messages import AuthSettings, WorkerSettings
from edge.runtime.sockets import host_port, is_ipv6


def worker_settings(
    config: NodeConfig, worker: int, credentials: Credentials, keys: KeyRing, token_keys: str
) -> WorkerSettings:
    port = config.service.port
    unicast = {is_ipv6(address): (str(address), port) for address in config.unicast.addresses}
    offered = unicast if config.quic.preferred_address else {}
    plain = config.web.plain_listen
    name = config.unicast.name or str(config.unicast.addresses[0])
    return WorkerSettings(
        node=str(config.node.name),
        worker=worker,
        sockets={},
        service=[str(address) for address in config.service.addresses],
        preferred_v4=offered.get(False),
        preferred_v6=offered.get(True),
        unicast_url=f"https://{host_port(name, port)}",
        certificate=credentials.certificate,
        private_key=credentials.private_key,
        server_id=bytes(config.node.server_id),
        keys=render(keys),
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
        listeners={},
        plain_listener="" if plain is None else host_port(plain.host, plain.port),
        page=config.web.page,
        auth=AuthSettings(token_keys, config.auth.audience, config.auth.origins),
        limits=config.limits,
    )
