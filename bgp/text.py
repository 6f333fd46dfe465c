"""ExaBGP's text protocol, written and read: commands one way; acknowledgements, answers and events the other.

ExaBGP 5 finds the verb of a command by searching the *whole line* for the words it knows, so that a line that
merely mentions ``graceful-shutdown`` shuts the daemon down. Commands are therefore made from numbers and
addresses only, never from a string that came from outside, and communities are always numeric.

An acknowledgement says that the line was understood and is in the adj-RIB-out. It carries no identifier: the
only way to know which command it belongs to is to have no other one under way. It does not say that the
neighbor has the route; ``show adj-rib out`` does not either, but it does say what the speaker believes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from typing import Final

from bgp.neighbor import Advertisement, Neighbor
from bgp.route import Address, Community, LargeCommunity, Prefix, RouteError, parse_address

SHOW_ADJ_RIB_OUT: Final = "show adj-rib out extensive"


def announce(neighbor: Neighbor, advertisement: Advertisement) -> str:
    """The command that makes ``neighbor`` hear ``advertisement``; it replaces an earlier one of the prefix."""
    words = [f"neighbor {neighbor.address} announce route {advertisement.prefix}"]
    words.append(f"next-hop {advertisement.next_hop}")
    if advertisement.as_path:
        words.append(f"as-path [ {' '.join(map(str, advertisement.as_path))} ]")
    if advertisement.med is not None:
        words.append(f"med {advertisement.med}")
    if advertisement.communities:
        words.append(f"community [ {' '.join(map(str, sorted(advertisement.communities)))} ]")
    if advertisement.large_communities:
        words.append(f"large-community [ {' '.join(map(str, sorted(advertisement.large_communities)))} ]")
    return " ".join(words)


def withdraw(neighbor: Neighbor, prefix: Prefix) -> str:
    """The command that takes ``prefix`` back from ``neighbor``; not an error when it was never announced."""
    return f"neighbor {neighbor.address} withdraw route {prefix}"


class Ack(Enum):
    """The end of the answer to the one command under way."""

    DONE = "done"
    ERROR = "error"


class SessionState(Enum):
    """Of one neighbor's session: the TCP connection stands, BGP is established, or neither."""

    CONNECTED = "connected"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A neighbor's session went from one state to another; ``reason`` is the speaker's own words."""

    neighbor: Address
    state: SessionState
    reason: str


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """A neighbor said something; ``message`` is any JSON at all, to be read by ``bgp.updates``."""

    neighbor: Address
    message: object


@dataclass(frozen=True, slots=True)
class UpdatesDropped:
    """Some of what a neighbor said did not fit on the way from the speaker to here (``bgp.bridge``)."""

    neighbor: Address


@dataclass(frozen=True, slots=True)
class AdjRibOutEntry:
    """One line of the answer to ``SHOW_ADJ_RIB_OUT``.

    ``advertisement`` is None when the route carries something that this package never announces.
    """

    neighbor: Address
    prefix: Prefix
    advertisement: Advertisement | None


@dataclass(frozen=True, slots=True)
class UnknownLine:
    """A line that is none of the above: other events, remarks. Nothing depends on it."""

    line: str


Line = Ack | SessionChanged | UpdateReceived | UpdatesDropped | AdjRibOutEntry | UnknownLine

_ACKS: Final = {ack.value: ack for ack in Ack}


def parse_line(line: str) -> Line:
    """What one line from the speaker, without its line end, says. Never raises."""
    if line in _ACKS:
        return _ACKS[line]
    parsed = _parse_event(line) if line.startswith("{") else _parse_entry(line)
    return parsed or UnknownLine(line)


def _parse_event(line: str) -> SessionChanged | UpdateReceived | UpdatesDropped | None:
    try:
        event = json.loads(line)
        neighbor = event["neighbor"]
        address = parse_address(str(neighbor["address"]["peer"]))
        match event["type"]:
            case "state":
                return SessionChanged(
                    address, SessionState(neighbor["state"]), str(neighbor.get("reason", ""))
                )
            case "update" if neighbor["direction"] == "receive":
                return UpdateReceived(address, neighbor["message"])
            case "dropped":
                return UpdatesDropped(address)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


_ENTRY: Final = re.compile(
    r"neighbor (?P<neighbor>\S+) .*"
    r"\bipv[46] unicast (?P<prefix>\S+) next-hop (?P<next_hop>\S+)(?P<attributes>.*)"
)
# A list of one is printed without its brackets; an AS sequence has round ones.
_ATTRIBUTE: Final = re.compile(
    r" (?P<name>[a-z-]+) (?:\( (?P<path>[^()]*) \)|\[ (?P<list>[^\[\]]*) \]|(?P<one>\S+))"
)


def _parse_entry(line: str) -> AdjRibOutEntry | None:
    match = _ENTRY.fullmatch(line)
    if match is None:
        return None
    try:
        neighbor, prefix = parse_address(match["neighbor"]), ip_network(match["prefix"])
        next_hop = parse_address(match["next_hop"])
    except ValueError:
        return None
    try:
        advertisement = _advertisement(prefix, next_hop, match["attributes"])
    except ValueError:
        advertisement = None
    return AdjRibOutEntry(neighbor, prefix, advertisement)


def _advertisement(prefix: Prefix, next_hop: Address, text: str) -> Advertisement:
    as_path: tuple[int, ...] = ()
    med: int | None = None
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    position = 0
    while position < len(text):
        found = _ATTRIBUTE.match(text, position)
        if found is None:
            raise RouteError(f"attribute at {text[position:]!r}")
        values = (found["path"] or found["list"] or found["one"] or "").split()
        match found["name"]:
            case "as-path":
                as_path = tuple(map(int, values))
            case "med":
                (only,) = values
                med = int(only)
            case "community":
                communities = frozenset(map(Community.parse, values))
            case "large-community":
                large_communities = frozenset(map(LargeCommunity.parse, values))
            case name:
                raise RouteError(f"attribute {name}")
        position = found.end()
    return Advertisement(prefix, next_hop, as_path, med, communities, large_communities)
