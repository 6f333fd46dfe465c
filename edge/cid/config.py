"""QUIC-LB configurations: what a fleet agrees on so that any node can read any node's connection IDs.

draft-ietf-quic-load-balancers-21. A connection ID (cid) is

    first octet                   server ID   nonce      worker
    3 bits rotation, 5 bits low   1.. bytes   4.. bytes  0 or 1 byte

where server ID + nonce (the *block*) is in the clear, or encrypted when there is a key. The worker octet is
ours, appended as section 5.4 allows: in the clear at a fixed offset, so that a socket filter, which cannot
decrypt, steers a packet to the right process. The section also asks that appended bytes link nothing; this
one lets an observer tell apart the few workers that any node has, and not the nodes.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from edge.cid.errors import CidConfigError

UNROUTABLE_ROTATION = 0b111
MAX_CID_LENGTH = 20
"""QUIC version 1's limit in bytes (RFC 9000 section 17.2)."""

ROTATION_SHIFT = 5
LOW_BITS = 0b11111
KEY_LENGTH = 16
SINGLE_PASS_LENGTH = 16
"""Server ID + nonce of exactly one AES block is encrypted as that block (draft section 5.4.1)."""

MIN_SERVER_ID_LENGTH = 1
MIN_NONCE_LENGTH = 4


class Algorithm(StrEnum):
    """How the block is hidden. It follows from the key and the lengths; nobody chooses it (section 5.4)."""

    PLAINTEXT = "plaintext"
    SINGLE_PASS = "single-pass"
    FOUR_PASS = "four-pass"


@dataclass(frozen=True, slots=True)
class CidConfig:
    """One configuration: lengths in bytes, AES-128 key or None for plaintext.

    ``rotation`` is the codepoint, 0 to 6, that marks this configuration's CIDs while it lives beside others.
    With ``encode_length`` the low five bits of the first octet say how many bytes follow it; without, they
    mean nothing and have to look random.

    Raises `CidConfigError` for anything section 5.3 does not allow.
    """

    rotation: int
    server_id_length: int
    nonce_length: int
    key: bytes | None = field(default=None, repr=False)
    encode_length: bool = True
    worker_octet: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rotation < UNROUTABLE_ROTATION:
            raise CidConfigError(f"rotation {self.rotation}: must be 0 to {UNROUTABLE_ROTATION - 1}")
        if self.server_id_length < MIN_SERVER_ID_LENGTH:
            raise CidConfigError(
                f"server ID of {self.server_id_length} bytes: needs at least {MIN_SERVER_ID_LENGTH}"
            )
        if self.nonce_length < MIN_NONCE_LENGTH:
            raise CidConfigError(f"nonce of {self.nonce_length} bytes: needs at least {MIN_NONCE_LENGTH}")
        if self.cid_length > MAX_CID_LENGTH:
            raise CidConfigError(f"connection ID of {self.cid_length} bytes: QUIC allows {MAX_CID_LENGTH}")
        if self.key is not None and len(self.key) != KEY_LENGTH:
            raise CidConfigError(f"key of {len(self.key)} bytes: AES-128 needs {KEY_LENGTH}")

    @property
    def block_length(self) -> int:
        """Bytes of server ID + nonce, 5 to 19."""
        return self.server_id_length + self.nonce_length

    @property
    def cid_length(self) -> int:
        """Bytes of the whole connection ID, 6 to 20."""
        return 1 + self.block_length + self.worker_octet

    @property
    def algorithm(self) -> Algorithm:
        if self.key is None:
            return Algorithm.PLAINTEXT
        if self.block_length == SINGLE_PASS_LENGTH:
            return Algorithm.SINGLE_PASS
        return Algorithm.FOUR_PASS


def profile_edge(rotation: int, key: bytes) -> CidConfig:
    """This project's own nodes: 18 bytes, the worker octet is the last.

    Single-pass costs one AES block where four-pass costs four, and is the only algorithm that the draft's
    distinguishing attacks (section 9.7) do not touch.
    """
    return CidConfig(rotation, server_id_length=8, nonce_length=8, key=key, worker_octet=True)


def profile_aws() -> CidConfig:
    """Behind an AWS Network Load Balancer with a QUIC listener: plaintext, exactly 16 bytes.

    The server ID is the 8 bytes of the target's ``QuicServerId``. What follows is a nonce to the load balancer, which
    passes CIDs of no other length; the worker octet is the last of its 7 bytes.
    """
    return CidConfig(rotation=0, server_id_length=8, nonce_length=6, worker_octet=True)
