"""An endpoint by itself, for tests that need no world around it."""

from typing import Any

from sim.world import ALPN, CID_CONFIG, PORT, SERVICE_V4, make_identity

from edge.cid import CidIssuer
from edge.quic import Endpoint, EndpointConfig

SERVER_ID, OTHER_ID = b"server 1", b"server 2"
UNICAST_V4, UNICAST_V6 = "203.0.113.1", "2001:db8:1::1"
RESET_KEY = b"reset key"


def make_endpoint(
    *, worker: int = 0, nonce_start: int = 0, server_id: bytes = SERVER_ID, **options: Any
) -> Endpoint:
    """``options`` are fields of `EndpointConfig` and keyword arguments of `Endpoint`."""
    fields = {name: options.pop(name) for name in EndpointConfig.__slots__ if name in options}
    defaults: dict[str, Any] = {
        "identity": make_identity()[0],
        "alpn": (ALPN, "h3"),
        "service": frozenset({SERVICE_V4}),
        "preferred_v4": (UNICAST_V4, PORT),
        "preferred_v6": (UNICAST_V6, PORT),
        "reset_key": RESET_KEY,
    }
    issuer = CidIssuer(CID_CONFIG, server_id, worker, nonce_start=nonce_start)
    return Endpoint(EndpointConfig(**(defaults | fields)), issuer, **options)
