"""QUIC for an anycast edge, without a socket: everything above sees these names and never the engine.

Read `endpoint` (all connections of a worker) or `client` (one call) for how to drive it, `connection` for what
an anycast edge asks of the engine, `reception` for what happens to packets that belong to nobody, `http3` for
requests and WebTransport sessions, and `tickets` for early data.
"""

from edge.quic.client import ClientConnection
from edge.quic.config import ClientConfig, EndpointConfig, Identity
from edge.quic.counters import Counters
from edge.quic.endpoint import Endpoint
from edge.quic.events import (
    AddressTokenIssued,
    ConnectionClosed,
    DatagramReceived,
    Event,
    HandshakeBegun,
    HandshakeCompleted,
    Outcome,
    PacketMisrouted,
    PathChanged,
    RequestReceived,
    SendingStopped,
    SessionClosed,
    SessionRequested,
    StreamDataReceived,
    StreamReset,
    TicketIssued,
)
from edge.quic.path import Path
from edge.quic.private_names import verify_engine
from edge.quic.secrets import BEHIND_NLB, CID_LENGTHS, CidProfile, Secrets, cid_configs
from edge.quic.table import ConnectionInfo
from edge.quic.tickets import Ticket

__all__ = [
    "BEHIND_NLB",
    "CID_LENGTHS",
    "AddressTokenIssued",
    "CidProfile",
    "ClientConfig",
    "ClientConnection",
    "ConnectionClosed",
    "ConnectionInfo",
    "Counters",
    "DatagramReceived",
    "Endpoint",
    "EndpointConfig",
    "Event",
    "HandshakeBegun",
    "HandshakeCompleted",
    "Identity",
    "Outcome",
    "PacketMisrouted",
    "Path",
    "PathChanged",
    "RequestReceived",
    "Secrets",
    "SendingStopped",
    "SessionClosed",
    "SessionRequested",
    "StreamDataReceived",
    "StreamReset",
    "Ticket",
    "TicketIssued",
    "cid_configs",
    "verify_engine",
]
