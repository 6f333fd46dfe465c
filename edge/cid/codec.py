"""Connection IDs to and from their parts.

`CidCodec` is one configuration, ready to use; `CidRing` is all that are live, told apart by rotation bits.
`encode` and `decode` do the same for a caller in no hurry; they prepare the AES contexts every time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from edge.cid.cipher import cipher_for
from edge.cid.config import (
    LOW_BITS,
    MAX_CID_LENGTH,
    ROTATION_SHIFT,
    UNROUTABLE_ROTATION,
    CidConfig,
)
from edge.cid.errors import CidConfigError, CidError, MalformedCid, UnroutableCid


class DecodedCid(NamedTuple):
    """What a connection ID says. ``worker`` is 0 where the configuration has no worker octet."""

    rotation: int
    server_id: bytes
    nonce: bytes
    worker: int


class CidCodec:
    """One configuration with its AES contexts prepared. Not for use from several threads at once."""

    def __init__(self, config: CidConfig) -> None:
        self.config = config
        cipher = cipher_for(config)
        self._encrypt = cipher.encrypt
        self._decrypt = cipher.decrypt
        self._length = config.cid_length
        self._split = config.server_id_length
        self._end = 1 + config.block_length

    def encode(self, server_id: bytes, nonce: bytes, worker: int = 0, *, low_bits: int = 0) -> bytes:
        """Build a connection ID of `config.cid_length` bytes.

        ``low_bits`` fills the low five bits of the first octet of a configuration that does not encode the
        length; higher bits of it are ignored. Raises `CidConfigError` for values of the wrong size.
        """
        config = self.config
        if len(server_id) != config.server_id_length:
            raise CidConfigError(f"server ID of {len(server_id)} bytes: needs {config.server_id_length}")
        if len(nonce) != config.nonce_length:
            raise CidConfigError(f"nonce of {len(nonce)} bytes: needs {config.nonce_length}")
        if not 0 <= worker <= (0xFF if config.worker_octet else 0):
            raise CidConfigError(f"worker {worker}: does not fit the configuration's worker octet")
        low = self._length - 1 if config.encode_length else low_bits & LOW_BITS
        head = bytes((config.rotation << ROTATION_SHIFT | low,))
        tail = bytes((worker,)) if config.worker_octet else b""
        return head + self._encrypt(server_id + nonce) + tail

    def decode(self, cid: bytes) -> DecodedCid:
        """Take a connection ID of this configuration apart; raises `MalformedCid`.

        The caller has looked at the rotation bits. Length and self-described length are held against the
        configuration (section 4.1 allows it), which also turns away most of what a client made up.
        """
        config = self.config
        if len(cid) != self._length:
            raise MalformedCid(
                f"connection ID of {len(cid)} bytes: rotation {config.rotation} has {self._length}"
            )
        if config.encode_length and cid[0] & LOW_BITS != self._length - 1:
            raise MalformedCid(
                f"connection ID says {cid[0] & LOW_BITS} bytes follow its first octet, not {len(cid) - 1}"
            )
        block = self._decrypt(cid[1 : self._end])
        split = self._split
        return DecodedCid(
            config.rotation, block[:split], block[split:], cid[-1] if config.worker_octet else 0
        )


class CidRing:
    """Every configuration that is live, at most one per rotation codepoint.

    New configurations go to whoever decodes before anyone encodes with them (section 3.1), so a node
    decodes with a ring and encodes with one member of it.
    """

    def __init__(self, configs: Iterable[CidConfig]) -> None:
        self._codecs: list[CidCodec | None] = [None] * (UNROUTABLE_ROTATION + 1)
        for config in configs:
            if self._codecs[config.rotation] is not None:
                raise CidConfigError(f"rotation {config.rotation}: two configurations")
            self._codecs[config.rotation] = CidCodec(config)

    def decode(self, cid: bytes) -> DecodedCid:
        """Read any bytes as a connection ID; raises `UnroutableCid` or `MalformedCid`, nothing else."""
        if not cid:
            raise UnroutableCid("connection ID is empty")
        return self._codec(cid[0]).decode(cid)

    def owner(self, cid: bytes) -> bytes | None:
        """The server ID in it, or None when it cannot be routed."""
        try:
            return self.decode(cid).server_id
        except CidError:
            return None

    def cid_length(self, first_octet: int) -> int:
        """Bytes of the connection ID that begins with ``first_octet``: a short header does not say.

        An unroutable CID describes its own length (section 3.2). Raises `UnroutableCid` or `MalformedCid`.
        """
        if first_octet >> ROTATION_SHIFT == UNROUTABLE_ROTATION:
            length = 1 + (first_octet & LOW_BITS)
            if length > MAX_CID_LENGTH:
                raise MalformedCid(f"connection ID says it has {length} bytes: QUIC allows {MAX_CID_LENGTH}")
            return length
        return self._codec(first_octet).config.cid_length

    def _codec(self, first_octet: int) -> CidCodec:
        rotation = first_octet >> ROTATION_SHIFT
        codec = self._codecs[rotation]
        if codec is None:
            raise UnroutableCid(f"rotation {rotation}: no live configuration")
        return codec


def encode(config: CidConfig, server_id: bytes, nonce: bytes, worker: int = 0, *, low_bits: int = 0) -> bytes:
    """`CidCodec.encode`, once."""
    return CidCodec(config).encode(server_id, nonce, worker, low_bits=low_bits)


def decode(configs: Iterable[CidConfig], cid: bytes) -> DecodedCid:
    """`CidRing.decode`, once."""
    return CidRing(configs).decode(cid)
