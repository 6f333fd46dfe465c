"""An endpoint by itself, for tests that need no world around it."""

from typing import Any

from sim.world import ALPN, KEYS, PORT, SERVICE_V4, make_identity

from edge.keys import KeyRing, Purpose
from edge.quic import CidProfile, Endpoint, EndpointConfig, Secrets

SERVER_ID, OTHER_ID = b"server 1", b"server 2"
RESET_KEY = KEYS.issuing.key(Purpose.RESET)
UNICAST_V4, UNICAST_V6 = "203.0.113.1", "2001:db8:1::1"


def make_endpoint(
    *,
    worker: int = 0,
    nonce_start: int = 0,
    server_id: bytes = SERVER_ID,
    keys: KeyRing = KEYS,
    profile: CidProfile = "edge",
    **options: Any,
) -> Endpoint:
    """``options`` are fields of `EndpointConfig` and keyword arguments of `Endpoint`."""
    fields = {name: options.pop(name) for name in EndpointConfig.__slots__ if name in options}
    defaults: dict[str, Any] = {
        "identity": make_identity()[0],
        "alpn": (ALPN, "h3"),
        "service": frozenset({SERVICE_V4}),
        "preferred_v4": (UNICAST_V4, PORT),
        "preferred_v6": (UNICAST_V6, PORT),
    }
    secrets = Secrets(keys, server_id=server_id, worker=worker, nonce_start=nonce_start, profile=profile)
    return Endpoint(EndpointConfig(**(defaults | fields)), secrets, **options)
