"""What we want the world to know: one prefix and how it is to be announced.

A ``Route`` is the wish, the same for every neighbor; ``bgp.neighbor`` turns it into the ``Advertisement`` that
leaves towards one of them. Values are parsed once, here, and cannot be wrong afterwards: whoever holds a
``Route`` may print any part of it into a command.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network

MAX_MED: Final = 2**32 - 1
# More than three never changed a decision that one had not; ten leaves room without making a path that
# upstreams drop for its length.
MAX_PREPEND: Final = 10

# The lengths a prefix may have: what the Internet's filters accept, and the host route of a service address
# inside one network (a lab, a provider that aggregates).
_LENGTHS: Final = {4: {*range(8, 25), 32}, 6: {*range(16, 49), 128}}
_LENGTHS_TEXT: Final = {4: "/8 to /24 or /32", 6: "/16 to /48 or /128"}


class RouteError(ValueError):
    """A part of a route is not what BGP can carry; the message names the part and its limits in one line."""


def _numbers(what: str, text: str, count: int) -> list[int]:
    parts = text.split(":")
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in parts):
        raise RouteError(f"{what} {text!r} is not {count} numbers joined by ':'")
    return [int(part) for part in parts]


def _within(what: str, text: str, numbers: tuple[int, ...], bits: int) -> None:
    if not all(0 <= number < 1 << bits for number in numbers):
        raise RouteError(f"{what} {text} has a number outside {bits} bits")


class NextHop(Enum):
    """Stands for "this side of the session": each neighbor gets its own address of ours."""

    SELF = "self"


SELF: Final = NextHop.SELF


class Audience(Enum):
    """Who is to hear of a route: upstreams and the fleet, or the fleet's own sessions only."""

    EVERYBODY = "everybody"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True, order=True)
class Community:
    """A standard community (RFC 1997): two 16-bit numbers."""

    asn: int
    value: int

    def __post_init__(self) -> None:
        _within("community", str(self), (self.asn, self.value), 16)

    def __str__(self) -> str:
        return f"{self.asn}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``65000:12``, or one of the names in ``WELL_KNOWN``. Raises RouteError."""
        if text in WELL_KNOWN:
            named = WELL_KNOWN[text]
            return cls(named.asn, named.value)
        return cls(*_numbers("community", text, 2))


@dataclass(frozen=True, slots=True, order=True)
class LargeCommunity:
    """A large community (RFC 8092): three 32-bit numbers, the first is the AS that gives them meaning."""

    administrator: int
    function: int
    parameter: int

    def __post_init__(self) -> None:
        _within("large community", str(self), (self.administrator, self.function, self.parameter), 32)

    def __str__(self) -> str:
        return f"{self.administrator}:{self.function}:{self.parameter}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``64600:1:42``. Raises RouteError."""
        return cls(*_numbers("large community", text, 3))


GRACEFUL_SHUTDOWN: Final = Community(65535, 0)  # RFC 8326
BLACKHOLE: Final = Community(65535, 666)  # RFC 7999
NO_EXPORT: Final = Community(65535, 65281)  # RFC 1997
NO_ADVERTISE: Final = Community(65535, 65282)  # RFC 1997
NO_EXPORT_SUBCONFED: Final = Community(65535, 65283)  # RFC 1997
NO_PEER: Final = Community(65535, 65284)  # RFC 3765

WELL_KNOWN: Final = {
    "graceful-shutdown": GRACEFUL_SHUTDOWN,
    "blackhole": BLACKHOLE,
    "no-export": NO_EXPORT,
    "no-advertise": NO_ADVERTISE,
    "no-export-subconfed": NO_EXPORT_SUBCONFED,
    "no-peer": NO_PEER,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One prefix with the attributes it is to be announced with.

    ``prepend`` is how many times our AS is repeated beyond the one time that eBGP asks for; within the AS there
    is no path to lengthen. ``med`` is absent when None (RFC 4271, 5.1.4: absent is not the same as 0). Raises
    RouteError.
    """

    prefix: Prefix
    next_hop: Address | NextHop = SELF
    med: int | None = None
    prepend: int = 0
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    audience: Audience = Audience.EVERYBODY

    def __post_init__(self) -> None:
        _check_prefix(self.prefix)
        if not isinstance(self.next_hop, NextHop):
            check_address(self.next_hop)
            if self.next_hop.version != self.prefix.version:
                raise RouteError(f"next hop {self.next_hop} is not of the family of {self.prefix}")
        if self.med is not None and not 0 <= self.med <= MAX_MED:
            raise RouteError(f"MED {self.med} is not within 0 to {MAX_MED}")
        if not 0 <= self.prepend <= MAX_PREPEND:
            raise RouteError(f"prepend {self.prepend} is not within 0 to {MAX_PREPEND}")

    @classmethod
    def parse(
        cls,
        prefix: str,
        *,
        med: int | None = None,
        prepend: int = 0,
        communities: Iterable[str] = (),
        large_communities: Iterable[str] = (),
    ) -> Self:
        """A route from the strings of a configuration file. Raises RouteError."""
        return cls(
            parse_prefix(prefix),
            med=med,
            prepend=prepend,
            communities=frozenset(map(Community.parse, communities)),
            large_communities=frozenset(map(LargeCommunity.parse, large_communities)),
        )


def parse_prefix(text: str) -> Prefix:
    """A prefix that may be announced. Raises RouteError when it is none, has host bits set or a bad length."""
    try:
        prefix = ip_network(text)
    except ValueError as error:
        raise RouteError(f"prefix {text!r}: {error}") from None
    _check_prefix(prefix)
    return prefix


def parse_address(text: str) -> Address:
    """An address of a session or a next hop. Raises RouteError."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise RouteError(str(error)) from None
    check_address(address)
    return address


def check_address(address: Address) -> None:
    """Refuse a scope ID (RFC 4007): ``ipaddress`` lets *any* text follow the ``%`` and prints it again.

    Raises RouteError.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise RouteError(f"address {str(address)!r} has a scope, which BGP cannot carry")


def _check_prefix(prefix: Prefix) -> None:
    check_address(prefix.network_address)
    if prefix.prefixlen not in _LENGTHS[prefix.version]:
        raise RouteError(f"prefix {prefix} is longer or shorter than {_LENGTHS_TEXT[prefix.version]}")
    if prefix.is_multicast or prefix.is_loopback or prefix.is_link_local or prefix.is_unspecified:
        raise RouteError(f"prefix {prefix} is not unicast address space")
