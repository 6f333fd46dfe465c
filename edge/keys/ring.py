"""The fleet's secrets: one ring, the same on all nodes, and every key that is made of it.

The ring holds generations. A generation is one secret, from which each `Purpose` gets a key of its own (HKDF, RFC 5869):
there is one thing to hand out, and a key that leaks gives away no other. Its number is the codepoint of its QUIC-LB
configuration (draft-ietf-quic-load-balancers-21 section 3.1), so that a connection ID says by itself which generation
it belongs to.

All generations are accepted, one of them is used for whatever is made. So a ring changes in three steps, each of which
must have come to every node before the next:

    added      accepted, in case that others use it already
    issuing    used
    dropped    the one before is not accepted any more: nothing that was made with it is left
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.errors import UsageError

SECRET_BYTES: Final = 32
NUMBERS: Final = range(7)
"""Of generations: three bits, of which all ones means that a connection ID is of no configuration."""


class Purpose(Enum):
    """What a key is for, and its length in bytes."""

    FINGERPRINT = ("fingerprint", 8)
    CID = ("connection IDs", 16)
    RESET = ("stateless reset tokens", 32)
    ADDRESS = ("address tokens", 16)
    TICKET = ("session tickets", 32)
    FORWARD = ("forwarded packets", 32)
    RESUME = ("resume tokens", 32)


class KeyRingError(UsageError):
    """No ring: the message begins with the key of the file that it is about."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One secret of 32 random bytes; ``created`` has a time zone."""

    number: int
    secret: bytes = field(repr=False)
    created: datetime

    def __post_init__(self) -> None:
        if self.number not in NUMBERS:
            raise KeyRingError(f"number: {self.number} is not {NUMBERS[0]} to {NUMBERS[-1]}")
        if len(self.secret) != SECRET_BYTES:
            raise KeyRingError(f"secret: {len(self.secret)} bytes instead of {SECRET_BYTES}")
        if self.created.tzinfo is None:
            raise KeyRingError("created: has no time zone")

    @property
    def fingerprint(self) -> str:
        """In hex: what tells two secrets apart, and gives neither away."""
        return self.key(Purpose.FINGERPRINT).hex()

    def key(self, purpose: Purpose, whose: bytes = b"") -> bytes:
        """The key for ``purpose``, or that of one of many (``whose``) who each have their own."""
        label, length = purpose.value
        return HKDF(
            SHA256(), length, salt=None, info=b"anycast-edge " + label.encode() + b"\0" + whose
        ).derive(self.secret)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Never empty. ``version`` counts the changes; ``issue`` is the number of the generation that is used."""

    version: int
    issue: int
    generations: tuple[Generation, ...]

    def __post_init__(self) -> None:
        numbers = [generation.number for generation in self]
        if len(set(numbers)) < len(numbers):
            raise KeyRingError("generations: two have the same number")
        if self.issue not in numbers:
            raise KeyRingError(f"issue: there is no generation {self.issue}")

    @classmethod
    def new(cls, secret: bytes, now: datetime) -> KeyRing:
        """With one generation."""
        return cls(1, 0, (Generation(0, secret, now),))

    def __iter__(self) -> Iterator[Generation]:
        return iter(self.generations)

    @property
    def issuing(self) -> Generation:
        """The generation that is used."""
        return next(generation for generation in self if generation.number == self.issue)

    def find(self, number: int) -> Generation | None:
        return next((generation for generation in self if generation.number == number), None)

    def add(self, secret: bytes, now: datetime) -> KeyRing:
        """With one more, which is not used yet: its number is the next that is free."""
        taken = {generation.number for generation in self}
        behind = self.generations[-1].number + 1
        free = [(behind + step) % len(NUMBERS) for step in range(len(NUMBERS))]
        number = next((number for number in free if number not in taken), None)
        if number is None:
            raise KeyRingError(f"generations: there are {len(taken)} already; drop one that nobody needs")
        return replace(
            self,
            version=self.version + 1,
            generations=(*self.generations, Generation(number, secret, now)),
        )

    def use(self, number: int) -> KeyRing:
        """Using generation ``number``."""
        return replace(self, version=self.version + 1, issue=number)

    def drop(self, number: int) -> KeyRing:
        """Without generation ``number``."""
        if self.find(number) is None:
            raise KeyRingError(f"generations: there is no {number}")
        if number == self.issue:
            raise KeyRingError(f"generations: {number} is in use; use another one first")
        left = tuple(generation for generation in self if generation.number != number)
        return replace(self, version=self.version + 1, generations=left)
