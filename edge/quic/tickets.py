"""Session tickets: what lets a caller who was here before speak in its very first packet (0-RTT).

A ticket holds what its node has to know, sealed with a key that the whole fleet shares (RFC 5077 section 4 says how): any
node can take it, none remembers it.

    ticket = generation | nonce (12) || AES-GCM(cipher suite | issued ms | resumption secret | server name)

Early data can be replayed by whoever copied it off the wire (RFC 8446 section 8). A worker accepts a ticket's early data
once, and remembers which tickets it has had. What it cannot remember it refuses: tickets older than the oldest that
it has forgotten, or than itself. A copy of a packet has the same connection ID and gets to the same worker; to have
another one it would have to be encrypted anew. A copy that is sent to another node is accepted there, and waits: until
the handshake is complete, which a copy never is, nothing is done for a caller (`edge.runtime.call`).

Whoever is refused has a handshake as if there had been no ticket, and its engine sends the same data again.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

import msgspec
from aioquic.tls import CipherSuite, SessionTicket
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LIFETIME_S: Final = 86_400
SKEW_S: Final = 60.0
"""How much earlier than it was made a ticket may come: the clocks of two nodes differ."""
NONCE_LENGTH: Final = 12
MAX_EARLY_DATA: Final = 0xFFFFFFFF
"""The only value that QUIC allows (RFC 9001 section 4.6.1)."""

_ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_HEAD = struct.Struct("!HQB")  # cipher suite, issued ms, length of the secret


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a client keeps for its next connection to the same server name; to be used once."""

    engine: SessionTicket = field(repr=False)

    @property
    def is_valid(self) -> bool:
        """Whether its server said that it would still know it."""
        return self.engine.is_valid

    def encode(self) -> bytes:
        """As JSON on one line, to be kept where nobody else can read it."""
        return msgspec.json.encode(self.engine)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What `encode` made. Raises ValueError for anything else."""
        return cls(msgspec.json.decode(data, type=SessionTicket))


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a ticket says. ``issued_at`` is wall-clock time."""

    cipher_suite: int
    issued_at: float
    secret: bytes = field(repr=False)
    server_name: str


class TicketSeal:
    """``keys``: 16, 24 or 32 bytes for each generation; ``issue``: the one in use."""

    def __init__(self, keys: Mapping[int, bytes], issue: int) -> None:
        self._aeads = {generation: AESGCM(key) for generation, key in keys.items()}
        self._issue = issue

    def seal(self, resumption: Resumption, nonce: bytes) -> bytes:
        """``nonce``: 12 bytes, never the same twice under one key."""
        plain = _HEAD.pack(resumption.cipher_suite, int(resumption.issued_at * 1000), len(resumption.secret))
        plain += resumption.secret + resumption.server_name.encode()
        head = bytes((self._issue,))
        return head + nonce + self._aeads[self._issue].encrypt(nonce, plain, head)

    def open(self, ticket: bytes) -> Resumption | None:
        """None for what nobody with our keys has sealed."""
        aead = self._aeads.get(ticket[0]) if ticket else None
        if aead is None:
            return None
        try:
            plain = aead.decrypt(ticket[1 : 1 + NONCE_LENGTH], ticket[1 + NONCE_LENGTH :], ticket[:1])
        except (InvalidTag, ValueError):
            return None
        cipher_suite, issued_ms, length = _HEAD.unpack_from(plain)
        end = _HEAD.size + length
        return Resumption(cipher_suite, issued_ms / 1000, plain[_HEAD.size : end], plain[end:].decode())


class StrikeRegister:
    """Which tickets have had their one handshake here (RFC 8446 section 8.1), since ``began_at`` by the wall clock."""

    def __init__(self, capacity: int, began_at: float) -> None:
        self._capacity = capacity
        self._known_from = began_at
        self._struck: OrderedDict[bytes, float] = OrderedDict()

    def strike(self, ticket: bytes, issued_at: float) -> bool:
        """Whether this is the first time, for certain."""
        if issued_at <= self._known_from or ticket in self._struck:
            return False
        self._struck[ticket] = issued_at
        if len(self._struck) > self._capacity:
            _, forgotten = self._struck.popitem(last=False)
            self._known_from = max(self._known_from, forgotten)
        return True

    def take(self, seal: TicketSeal, ticket: bytes, unix_time: float) -> SessionTicket | None:
        """What the engine needs to resume with a ticket that a client presents; None: as if there were none."""
        found = seal.open(ticket)
        if found is None or not -SKEW_S <= unix_time - found.issued_at <= LIFETIME_S:
            return None
        if not self.strike(ticket, found.issued_at):
            return None
        return SessionTicket(
            age_add=0,
            cipher_suite=CipherSuite(found.cipher_suite),
            not_valid_before=_ALWAYS[0],  # it has just been looked at
            not_valid_after=_ALWAYS[1],
            resumption_secret=found.secret,
            server_name=found.server_name,
            ticket=ticket,
            max_early_data_size=MAX_EARLY_DATA,
        )
