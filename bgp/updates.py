"""What a neighbor told us (RFC 4271, UPDATE), out of the JSON that the speaker makes of it.

This is input from outside. Nothing here raises, whatever the JSON is, and no path is half believed: one that
has a single attribute out of range, or more of them than any node of ours would send, counts as withdrawn, as
RFC 7606 has it. What names no path at all is passed over. Attributes that nobody here asks for are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from typing import Any, Final

from bgp.received import EndOfRib, Path, PathHeard, PathLost
from bgp.route import Address, Community, LargeCommunity, Prefix, RouteError, check_address, parse_address

# A message of 4096 bytes can hold a thousand communities. Ours have less than ten, and every path is kept.
MAX_COMMUNITIES: Final = 32
MAX_AS_PATH: Final = 32

_AFIS: Final = {"ipv4": 4, "ipv6": 6}
_FAMILIES: Final = {"ipv4 unicast": 4, "ipv6 unicast": 6}


def read(neighbor: Address, message: object) -> Iterator[PathHeard | PathLost | EndOfRib]:
    """The events of one message, made as they are asked for: a message can name hundreds of paths."""
    match message:
        case {"eor": {"afi": "ipv4" | "ipv6" as afi, "safi": "unicast"}}:
            yield EndOfRib(neighbor, _AFIS[afi])
        case {"update": dict(update)}:
            # In this order: a prefix that is in both is announced (RFC 4271, section 4.3).
            for prefix, path_id in _withdrawn(update.get("withdraw")):
                yield PathLost(neighbor, prefix, path_id)
            attributes = _attributes(update.get("attribute"))
            for prefix, path_id, told in _announced(update.get("announce")):
                next_hop = _next_hop(told, prefix.version)
                if attributes is None or next_hop is None:
                    yield PathLost(neighbor, prefix, path_id)
                else:
                    yield PathHeard(neighbor, attributes.path(prefix, path_id, next_hop))


def _withdrawn(families: object) -> Iterator[tuple[Prefix, int]]:
    for version, entries in _families(families):
        yield from _paths(version, entries)


def _announced(families: object) -> Iterator[tuple[Prefix, int, object]]:
    """Prefix, path ID and next hop; the last as it was told."""
    for version, next_hops in _families(families):
        for told, entries in next_hops.items() if isinstance(next_hops, dict) else ():
            for prefix, path_id in _paths(version, entries):
                yield prefix, path_id, told


def _families(families: object) -> Iterator[tuple[int, Any]]:
    for name, content in families.items() if isinstance(families, dict) else ():
        if name in _FAMILIES:
            yield _FAMILIES[name], content


def _paths(version: int, entries: object) -> Iterator[tuple[Prefix, int]]:
    for entry in entries if isinstance(entries, list) else ():
        match entry:
            case {"nlri": str(text), "path-information": str(path_id)}:
                pass
            case {"nlri": str(text), **others} if "path-information" not in others:
                path_id = "0.0.0.0"
            case _:
                continue
        try:
            # Not strict: what stands behind the length of a prefix has no meaning (RFC 4271, section 4.3).
            prefix = ip_network(text, strict=False)
            check_address(prefix.network_address)
            if prefix.version == version:
                yield prefix, int(IPv4Address(path_id))
        except ValueError:
            continue


def _next_hop(told: object, version: int) -> Address | None:
    try:
        address = parse_address(str(told))
    except RouteError:
        return None
    # RFC 4271, 6.3: it must be the address of a host.
    is_host = not (address.is_unspecified or address.is_multicast or address.is_reserved)
    return address if address.version == version and is_host else None


@dataclass(frozen=True, slots=True)
class _Attributes:
    """Those that all paths of one message have in common."""

    as_path: tuple[int, ...]
    communities: frozenset[Community]
    large_communities: frozenset[LargeCommunity]
    originator: Address | None

    def path(self, prefix: Prefix, path_id: int, next_hop: Address) -> Path:
        return Path(
            prefix,
            path_id,
            next_hop,
            self.as_path,
            self.communities,
            self.large_communities,
            self.originator,
        )


def _attributes(told: object) -> _Attributes | None:
    """None if any of them is not to be believed."""
    if not isinstance(told, dict) or told.get("origin") not in ("igp", "egp", "incomplete"):
        return None
    try:
        originator = told.get("originator-id")
        return _Attributes(
            _as_path(told.get("as-path", {})),
            frozenset(Community(*numbers) for numbers in _tuples(told.get("community", []), 2)),
            frozenset(LargeCommunity(*numbers) for numbers in _tuples(told.get("large-community", []), 3)),
            None if originator is None else IPv4Address(str(originator)),
        )
    except ValueError:
        return None


def _as_path(told: object) -> tuple[int, ...]:
    """The numbers of one AS_SEQUENCE, or none, as is usual within an AS. Raises RouteError.

    Sets, and a second segment, are what aggregation and confederations leave behind; nobody of ours has them.
    """
    match told:
        case {"0": {"element": "as-sequence", "value": list(numbers)}, **others} if not others:
            if len(numbers) <= MAX_AS_PATH and all(map(_is_as_number, numbers)):
                return tuple(numbers)
        case {**segments} if not segments:
            return ()
    raise RouteError("AS path")


def _is_as_number(told: object) -> bool:
    return type(told) is int and 0 <= told < 1 << 32


def _tuples(told: object, size: int) -> list[list[int]]:
    """A list of lists of ``size`` integers. Raises RouteError. Python's ``bool`` is none."""
    if not isinstance(told, list) or len(told) > MAX_COMMUNITIES:
        raise RouteError("communities")
    for numbers in told:
        if not isinstance(numbers, list) or [type(number) for number in numbers] != [int] * size:
            raise RouteError("community")
    return told
