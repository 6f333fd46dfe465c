"""A ring as the text of a file (TOML)."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Final

import msgspec

from edge.keys.ring import Generation, KeyRing, KeyRingError

_HEAD: Final = """\
# The fleet's keys: the same file on every node, and nowhere else. Changed by `edgectl keys`.
version = {version}
issue = {issue}
"""
_GENERATION: Final = """
[[generations]]
number = {number}
created = {created}
secret = "{secret}"
"""


class _Generation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    created: datetime
    secret: bytes


class _Ring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    issue: int
    generations: tuple[_Generation, ...]


def render(ring: KeyRing) -> str:
    """What `parse` reads."""
    parts = [_HEAD.format(version=ring.version, issue=ring.issue)]
    parts += [
        _GENERATION.format(
            number=generation.number,
            created=generation.created.isoformat(timespec="seconds"),
            secret=b64encode(generation.secret).decode(),
        )
        for generation in ring
    ]
    return "".join(parts)


def parse(text: str) -> KeyRing:
    """Raises `KeyRingError`, which quotes no secret."""
    try:
        ring = msgspec.toml.decode(text, type=_Ring)
    except msgspec.ValidationError as error:
        raise KeyRingError(str(error)) from None
    except msgspec.DecodeError as error:
        raise KeyRingError(f"is not TOML: {error}") from None
    generations = tuple(Generation(one.number, one.secret, one.created) for one in ring.generations)
    return KeyRing(ring.version, ring.issue, generations)
