"""QUIC-LB connection IDs (draft-ietf-quic-load-balancers-21): any node can tell whose packet it holds.

Read `config` for what a connection ID is made of, `codec` for both directions, `cipher` for how it is hidden,
`issuer` for why none is ever issued twice, and `steering` for how a node's kernel gives packets to its workers.
"""

from edge.cid.codec import CidCodec, CidRing, DecodedCid, decode, encode
from edge.cid.config import (
    KEY_LENGTH,
    MAX_CID_LENGTH,
    UNROUTABLE_ROTATION,
    Algorithm,
    CidConfig,
    profile_aws,
    profile_edge,
)
from edge.cid.errors import CidConfigError, CidError, MalformedCid, NonceExhausted, UnroutableCid
from edge.cid.issuer import CidIssuer, UnroutableIssuer

__all__ = [
    "KEY_LENGTH",
    "MAX_CID_LENGTH",
    "UNROUTABLE_ROTATION",
    "Algorithm",
    "CidCodec",
    "CidConfig",
    "CidConfigError",
    "CidError",
    "CidIssuer",
    "CidRing",
    "DecodedCid",
    "MalformedCid",
    "NonceExhausted",
    "UnroutableCid",
    "UnroutableIssuer",
    "decode",
    "encode",
    "profile_aws",
    "profile_edge",
]
