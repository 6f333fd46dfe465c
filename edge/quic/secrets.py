"""What an endpoint makes and knows again with the fleet's keys.

                      made with                  known again by
    connection IDs    the generation in use      its number in their first octet, unless AWS reads them: then they are
                                                 plaintext, and their connection knows
    reset tokens      that of the CID            the CID; where it has no number, any generation may be meant
    address tokens    the generation in use      its number in front
    session tickets   the same                   the same

So everything that was made with a generation is good for as long as the ring has it, on every node and worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from edge.cid import (
    KEY_LENGTH,
    CidConfig,
    CidError,
    CidIssuer,
    CidRing,
    DecodedCid,
    profile_aws,
    profile_edge,
)
from edge.keys import Generation, KeyRing, Purpose
from edge.quic.reset import reset_token
from edge.quic.tickets import TicketSeal
from edge.quic.tokens import AddressTokens

CidProfile = Literal["edge", "aws-nlb"]
BEHIND_NLB: Final = "aws-nlb"
"""Callers come through an AWS Network Load Balancer, which reads connection IDs."""

_CONFIGS: Final[Mapping[CidProfile, Callable[[Generation], CidConfig]]] = {
    "edge": lambda generation: profile_edge(generation.number, generation.key(Purpose.CID)),
    BEHIND_NLB: lambda _: profile_aws(),
}

CID_LENGTHS: Final[Mapping[CidProfile, int]] = {
    "edge": profile_edge(0, bytes(KEY_LENGTH)).cid_length,
    "aws-nlb": profile_aws().cid_length,
}


def cid_configs(profile: CidProfile, keys: KeyRing) -> list[CidConfig]:
    """Every configuration that is live, in the order of the ring; one alone where no key is in use."""
    return list(dict.fromkeys(_CONFIGS[profile](generation) for generation in keys))


class Secrets:
    """Of one worker. ``nonce_start``: see `edge.cid.issuer`; the wall-clock time in nanoseconds will do."""

    def __init__(
        self,
        keys: KeyRing,
        *,
        server_id: bytes,
        worker: int = 0,
        nonce_start: int,
        profile: CidProfile = "edge",
    ) -> None:
        self.server_id = server_id
        self.worker = worker
        self._profile = profile
        self._nonce_start = nonce_start
        self._issuers: dict[CidConfig, CidIssuer] = {}
        """Also of generations that are gone: one that comes back, with the file from before, must go on counting."""
        self.set_keys(keys)

    def set_keys(self, keys: KeyRing) -> None:
        """Use this ring from now on."""
        configs = {generation: _CONFIGS[self._profile](generation) for generation in keys}
        self.keys = keys
        self._ring = CidRing(set(configs.values()))
        config = configs[keys.issuing]
        if config not in self._issuers:
            self._issuers[config] = CidIssuer(
                config,
                self.server_id,
                self.worker,
                nonce_start=self._nonce_start,
                secret=keys.issuing.key(Purpose.CID),
            )
        self.issue = self._issuers[config].issue
        """A connection ID nobody had before; raises `NonceExhausted`."""
        self.cid_length = config.cid_length
        self._reset_keys = _keys(keys, Purpose.RESET)
        self._has_numbers = config.key is not None
        self.tokens = AddressTokens(_keys(keys, Purpose.ADDRESS), keys.issue)
        self.tickets = TicketSeal(_keys(keys, Purpose.TICKET), keys.issue)

    def decode(self, cid: bytes) -> DecodedCid | None:
        """Whose a connection ID is; None when it cannot be one of the fleet's."""
        try:
            return self._ring.decode(cid)
        except CidError:
            return None

    def length_of(self, first_octet: int) -> int:
        """Bytes of a connection ID that begins so; raises `CidError`."""
        return self._ring.cid_length(first_octet)

    def reset_token(self, cid: bytes) -> bytes:
        """Of a connection ID that was just issued."""
        return reset_token(self._reset_keys[self.keys.issue], cid)

    def reset_tokens(self, cid: bytes) -> list[bytes]:
        """All that a connection ID of ours may have."""
        keys = [self._reset_keys[cid[0] >> 5]] if self._has_numbers else self._reset_keys.values()
        return [reset_token(key, cid) for key in keys]


def _keys(ring: KeyRing, purpose: Purpose) -> dict[int, bytes]:
    return {generation.number: generation.key(purpose) for generation in ring}
