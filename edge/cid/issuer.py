"""Where new connection IDs come from, and why no two are alike.

A nonce used twice under a key gives two callers one connection ID, and each the other's stateless reset token
(draft section 9.6). So nonces are counted, never drawn. The workers of a node share its server ID; worker w
of L lanes owns the nonces that are w modulo L, whatever each of them started from:

    nonce = position * L + w        position: start // L, and on by one, once round the lane

An issuer knows nothing of earlier lives of its worker. The caller picks a start that avoids them: random, as
the draft advises, or wall-clock nanoseconds, which never meet an earlier life while a worker issues less than
one CID in L nanoseconds.
"""

from edge.cid.cipher import permutation
from edge.cid.codec import CidCodec
from edge.cid.config import (
    KEY_LENGTH,
    MAX_CID_LENGTH,
    ROTATION_SHIFT,
    UNROUTABLE_ROTATION,
    Algorithm,
    CidConfig,
)
from edge.cid.errors import CidConfigError, NonceExhausted

MAX_LANES = 256
MIN_UNROUTABLE_ENTROPY = 7
"""Bytes after the first octet for "a low chance of collision" (section 3.2)."""


class NonceCounter:
    """The nonces of one lane, each once, as ``length`` bytes big-endian."""

    def __init__(self, length: int, *, start: int = 0, lane: int = 0, lanes: int = 1) -> None:
        if not 0 <= lane < lanes <= MAX_LANES:
            raise CidConfigError(f"lane {lane} of {lanes}: needs 0 <= lane < lanes <= {MAX_LANES}")
        self._length = length
        self._lane = lane
        self._lanes = lanes
        self._positions = (1 << 8 * length) // lanes
        self._position = start // lanes % self._positions
        self.remaining = self._positions

    def next(self) -> bytes:
        """Raises `NonceExhausted` instead of returning any nonce again."""
        if not self.remaining:
            raise NonceExhausted(f"all {self._positions} nonces used: rotate to a new configuration")
        nonce = self._position * self._lanes + self._lane
        self._position = (self._position + 1) % self._positions
        self.remaining -= 1
        return nonce.to_bytes(self._length, "big")


class CidIssuer:
    """Connection IDs of one worker under one configuration.

    ``secret``, 16 random bytes that all workers of the node share, is needed where some of a CID is chosen
    by us and seen in the clear: a plaintext nonce must show no relation to the one before (section 5.4), so
    the count passes through a permutation, which keeps it unique; and low bits that do not encode the
    length must look random (section 3.3).
    """

    one_per_connection = False

    def __init__(
        self,
        config: CidConfig,
        server_id: bytes,
        worker: int = 0,
        *,
        nonce_start: int,
        lanes: int = MAX_LANES,
        secret: bytes | None = None,
    ) -> None:
        if len(server_id) != config.server_id_length:
            raise CidConfigError(f"server ID of {len(server_id)} bytes: needs {config.server_id_length}")
        if secret is None and (config.algorithm is Algorithm.PLAINTEXT or not config.encode_length):
            raise CidConfigError("a configuration that shows its nonce or its low bits needs a secret")
        self.config = config
        self.server_id = server_id
        self._codec = CidCodec(config)
        self._worker_octet = worker if config.worker_octet else 0
        self._nonces = NonceCounter(config.nonce_length, start=nonce_start, lane=worker, lanes=lanes)
        self._veil = None if secret is None else permutation(_checked(secret), config.nonce_length)

    @property
    def cid_length(self) -> int:
        return self.config.cid_length

    @property
    def remaining(self) -> int:
        """CIDs left before the configuration has to be rotated."""
        return self._nonces.remaining

    def issue(self) -> bytes:
        """A connection ID nobody had before; raises `NonceExhausted`."""
        nonce = self._nonces.next()
        low_bits = 0
        if self._veil is not None:
            nonce = self._veil.encrypt(nonce)
            # Not the nonce's own bits: they may be about to be encrypted.
            low_bits = self._veil.encrypt(nonce)[0]
        return self._codec.encode(self.server_id, nonce, self._worker_octet, low_bits=low_bits)


class UnroutableIssuer:
    """Connection IDs of a server that has no configuration (sections 3.2 and 4.1): codepoint 0b111.

    Their length is always self-described. No other node can find this one by such a CID, so the endpoint
    gives each connection exactly one, offers no preferred address and sends disable_active_migration.
    ``secret`` is 16 random bytes of this process alone. The worker octet stands last, where the edge profile
    has it, so that one socket filter serves both.
    """

    one_per_connection = True

    def __init__(self, worker: int | None = None, *, secret: bytes, cid_length: int) -> None:
        self._tail = b"" if worker is None else bytes((worker,))
        entropy = cid_length - 1 - len(self._tail)
        if entropy < MIN_UNROUTABLE_ENTROPY or cid_length > MAX_CID_LENGTH:
            raise CidConfigError(
                f"unroutable connection ID of {cid_length} bytes: needs {MIN_UNROUTABLE_ENTROPY} random bytes"
                f" and at most {MAX_CID_LENGTH} in all"
            )
        self.cid_length = cid_length
        self._head = bytes((UNROUTABLE_ROTATION << ROTATION_SHIFT | cid_length - 1,))
        self._counter = NonceCounter(entropy)
        self._veil = permutation(_checked(secret), entropy)

    def issue(self) -> bytes:
        """A connection ID as unlikely to meet another process's as random bytes, and never one of our own."""
        return self._head + self._veil.encrypt(self._counter.next()) + self._tail


def _checked(secret: bytes) -> bytes:
    if len(secret) != KEY_LENGTH:
        raise CidConfigError(f"secret of {len(secret)} bytes: needs {KEY_LENGTH}")
    return secret
