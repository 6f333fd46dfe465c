"""Takes out of text what must not be handed on: secrets that are known, what looks like one, and strangers' addresses."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

REDACTED: Final = "[redacted]"
SHORTEST: Final = 4
"""Characters of a password. Shorter ones are in every text, and protect nothing."""

_WORD: Final = re.compile(r"[A-Za-z0-9+/_=-]{16,}")
"""In a file of secrets: keys in hex or base64, and lines of PEM. Shorter words are the file's own vocabulary."""

# In quotes, which may be escaped as in a string of JSON, to the quote that ends it; else as far as one word goes.
_VALUE: Final = r"""
    (?: (?P<quote> \\* ["'] ) (?P<quoted> (?! \[redacted\] ) (?: (?! (?P=quote) ) (?: \\. | [^\\\n] ) )+ )
      | (?P<bare> (?! \[redacted\] ) (?: \\ [^"'] | [^\s"',;}\\] )+ ) )
"""
_PATTERNS: Final = (
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        re.DOTALL,
    ),
    re.compile(r"\beyJ[A-Za-z0-9_-]{1,999}\.[A-Za-z0-9_-]{1,9999}\.[A-Za-z0-9_-]*"),  # a JSON Web Token
    re.compile(r"(?i)(?<=bearer )[^\s\"'\\]+"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{8,}"),
    # What clouds and forges give out, by how it begins.
    re.compile(
        r"""(?x) \b (?: sk-[\w-]{16,} | gh[pousr]_\w{16,} | github_pat_\w{16,} | glpat-[\w-]{16,} | xox[a-z]-[\w-]{10,}
        | (?: AKIA | ASIA )[A-Z0-9]{16} | AIza[\w-]{30,} | hvs\.[\w-]{16,} | AGE-SECRET-KEY-1[A-Z0-9]+ )"""
    ),
    # Name and password of a URL, or a token in their place; somebody may have written a slash in a password as it is.
    re.compile(r"(?<=://)(?!\[redacted\])[^/?#\s\"']{1,200}(?=@)"),
    re.compile(r"(?<=://)[^/?#@:\s\"']{1,200}:(?!\d{1,5}/)[^@\s\"']{1,200}(?=@)"),
    re.compile(  # fields of HTTP, to the end of the line
        r"""(?ix) \b (?: (?: proxy- )? authorization | (?: set- )? cookie ) ["']? [ \t]* [:=] [ \t]*+ ["']?+
        (?: (?: bearer | basic | digest | token | negotiate ) [ \t]+ )?+ (?P<bare> (?! \[redacted\] ) [^"'\\\n]+ )"""
    ),
    # What only its word tells: in a configuration, an environment, a log's field, an option's argument.
    re.compile(
        r"""(?ix) (?P<password> (?: password | passwd | passphrase | pwd ) ) \\* ["']? \s* [:=] \s* """
        + _VALUE
    ),
    re.compile(
        r"""(?ix) (?: (?: secret | private | access | signing | api | auth )[_-]?(?: access[_-]? )?key (?: [_-]id )?
        | secret | token | credentials? ) \\* ["']? \s* [:=] \s* """
        + _VALUE
    ),
    re.compile(
        r"""(?ix) --[a-z-]* (?P<password> password | passwd | passphrase | secret | token | [a-z]+-key ) [ ]+ (?! - ) """
        + _VALUE
    ),
    # As BIRD, ExaBGP and FRR write the key of a BGP session.
    re.compile(
        r"""(?ix) (?: md5-password | \b neighbor \s+ \S{1,60} \s+ password (?: \s+ \d )? ) (?P<password> \s+ ) """
        + _VALUE
    ),
    re.compile(r"""(?ix) \b password (?P<password> \s+ ) (?= \\* ["'] ) """ + _VALUE),
    re.compile(r"""(?x) "(?: k | d )" \s* : \s* "(?P<bare> [A-Za-z0-9_-]{16,} )" """),  # of a JSON Web Key
)
_NOTHING: Final = re.compile(r"(?:null|true|false|none)", re.IGNORECASE)
_HARMLESS: Final = re.compile(r"(?:null|true|false|none|\d{1,6}|/\S*)", re.IGNORECASE)
"""A value after such a word that is no secret: a flag, a small number, a path. A password may be any but the first."""

_ADDRESS: Final = re.compile(
    r"""(?x) (?<![\w.:]) (?: \d{1,3} (?: \.\d{1,3} ){3} (?! \w | \.\d ) | [0-9A-Fa-f]{0,4} (?: : [0-9A-Fa-f.]{0,15} ){2,8} )"""
)
"""What may be one, with what a sentence puts behind it."""

Network = IPv4Network | IPv6Network


def secrets_in(content: bytes) -> Iterator[str]:
    """What of a file of secrets would be recognized elsewhere: the whole of it, and each key in it as it may be written."""
    text = content.decode("utf-8", "replace")
    if len(text.strip()) >= SHORTEST and "\n" not in text.strip():
        yield from _written(text.strip())
    for word in _WORD.findall(text):
        if any(character.isdigit() for character in word) or len(word) > 40:
            yield from _written(word)


def _written(secret: str) -> Iterator[str]:
    """``secret`` itself; the bytes it stands for, if it is hex or base64; and it in either."""
    meanings = {secret.encode()}
    try:
        meanings.add(bytes.fromhex(secret))
    except ValueError:
        padded = secret.rstrip("=") + "=" * (-len(secret.rstrip("=")) % 4)
        with contextlib.suppress(ValueError):
            meanings.add(base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True))
    yield secret
    yield json.dumps(secret)[1:-1]
    for meaning in meanings:
        if len(meaning) >= SHORTEST:
            yield meaning.hex()
            yield meaning.hex().upper()
            yield base64.b64encode(meaning).decode().rstrip("=")
            yield base64.urlsafe_b64encode(meaning).decode().rstrip("=")


class Scrubber:
    """``secrets``: what must nowhere be. ``ours``: networks whose addresses may stay; None: all of them may.

    A stranger's address becomes a name that is the same throughout, so that what one caller did can still be followed.
    """

    def __init__(self, secrets: Iterable[str], ours: Iterable[Network] | None) -> None:
        found = sorted({secret for secret in secrets if len(secret) >= SHORTEST}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None
        self._ours = None if ours is None else tuple(ours)
        self._strangers: dict[str, str] = {}
        self.redacted = 0
        """How often something was taken out that was, or looked like, a secret."""

    @property
    def strangers(self) -> int:
        """How many addresses were given names."""
        return len(self._strangers)

    def scrub(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(self._redact, text)
        for pattern in _PATTERNS:
            text = pattern.sub(self._redact, text)
        return text if self._ours is None else _ADDRESS.sub(self._named, text)

    def _redact(self, match: re.Match[str]) -> str:
        whole, groups = match.group(), match.groupdict()
        which = next((name for name in ("quoted", "bare") if groups.get(name) is not None), None)
        if which is None:
            self.redacted += 1
            return REDACTED
        value = groups[which]
        if (_NOTHING if groups.get("password") else _HARMLESS).fullmatch(value):
            return whole
        self.redacted += 1
        start = match.start(which) - match.start()
        return whole[:start] + REDACTED + whole[start + len(value) :]

    def _named(self, match: re.Match[str]) -> str:
        text = match.group()
        address, behind = _split(text)
        if address is None:
            return text  # a time, or a version
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self._ours or () if network.version == mapped.version):
            return text
        return self._strangers.setdefault(str(mapped), f"[address-{len(self._strangers) + 1}]") + behind


def _split(text: str) -> tuple[IPv4Address | IPv6Address | None, str]:
    """The address that ``text`` begins with, and the punctuation behind it."""
    for length in range(len(text), max(0, len(text) - 3), -1):
        with contextlib.suppress(ValueError):
            return ip_address(text[:length]), text[length:]
    return None, ""


def networks(addresses: Iterable[str]) -> list[Network]:
    """Of addresses and prefixes as text."""
    return [ip_network(address, strict=False) for address in addresses]
