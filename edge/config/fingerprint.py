"""How the text of a configuration is told from another one."""

from hashlib import sha256
from typing import Final

HASH_DIGITS: Final = 12


def config_hash(text: str) -> str:
    """The first 12 hex digits of the SHA-256 of ``text`` in UTF-8: for people to compare, not for keeping secrets."""
    return sha256(text.encode()).hexdigest()[:HASH_DIGITS]
