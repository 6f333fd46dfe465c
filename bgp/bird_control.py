"""The protocol of BIRD's control socket, read: replies, and what they say of sessions and routes.

A reply is lines ``NNNN-text``, the last one ``NNNN text``; a line that begins with a space or a plus continues the
code before it. Codes from 8000 on are errors. The texts are for people, so what is read here is matched piece by
piece, and what does not match says nothing: neighbors choose much of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, ip_network
from typing import Final

from bgp.bird_conf import MED
from bgp.neighbor import Advertisement, Neighbor
from bgp.received import Path
from bgp.route import Address, Community, LargeCommunity, Prefix, RouteError, parse_address

CONFIGURE: Final = "configure"
CONFIGURE_STATUS: Final = "configure status"
SHOW_SESSIONS: Final = "show protocols all"
SHOW_BFD: Final = "show bfd sessions"
# No listening socket: somebody else has the port. The session would wait for ever.
NO_SOCKET: Final = "No listening socket"


def show_told(channel: str) -> str:
    """Asks for what has really gone into a session (``n0.ipv4``); empty while it is down."""
    return f"show route exported {channel} all"


def show_heard(session: str, table: str) -> str:
    """Asks for what the neighbor of a session has told."""
    return f"show route table {table} protocol {session} all"


class Code(IntEnum):
    """What kind of thing a line of a reply is about (BIRD, doc/reply_codes)."""

    WELCOME = 1
    RECONFIGURED = 3
    IN_PROGRESS = 4
    QUEUED = 5
    PROTOCOL = 1002
    DETAILS = 1006
    ROUTE = 1007
    ROUTE_TYPE = 1008
    ATTRIBUTE = 1012
    BFD = 1020
    FIRST_ERROR = 8000


@dataclass(frozen=True, slots=True)
class Reply:
    """The lines of a reply, each with its code. One with ``is_cut`` is longer than it may be; there is more of it."""

    lines: tuple[tuple[int, str], ...]
    is_cut: bool = False

    @property
    def is_error(self) -> bool:
        return self.lines[-1][0] >= Code.FIRST_ERROR

    @property
    def last_words(self) -> str:
        return self.lines[-1][1]

    def texts(self, *codes: int) -> Iterator[str]:
        """The lines that have one of these codes."""
        return (text for code, text in self.lines if code in codes)


class ReplyReader:
    """Bytes in, one reply out, of at most about ``limit`` characters. Raises ValueError for what is none."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._rest = b""
        self._code = 0
        self._lines: list[tuple[int, str]] = []

    def feed(self, data: bytes) -> Reply | None:
        """The reply, once it is complete or too long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            is_continued = text[:1] in (" ", "+")
            if not is_continued:
                self._code = int(text[:4])
            self._lines.append((self._code, text[1:] if is_continued else text[5:]))
            if not is_continued and text[4:5] == " ":
                return Reply(tuple(self._lines))
        self._left -= len(data)
        return Reply(tuple(self._lines), is_cut=True) if self._left < 0 else None


@dataclass(slots=True)
class Session:
    """A BGP session. ``info`` is BIRD's own words, and ``open`` the channels that both sides want to use.

    On each channel ``received`` counts what the neighbor has told, and ``routes`` what BIRD holds of it.
    """

    name: str
    info: str
    open: set[str] = field(default_factory=set)
    received: dict[str, tuple[str, ...]] = field(default_factory=dict)
    routes: dict[str, int] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        return self.info.startswith("Established")


_CHANNEL: Final = re.compile(r"  Channel (\S+)")
_OPEN: Final = re.compile(r" +State: +UP")
_RECEIVED: Final = re.compile(r" +Import (?:updates|withdraws):(?P<numbers>[ 0-9-]+)")
_ROUTES: Final = re.compile(r" +Routes: +(?P<imported>[0-9]+) imported,.*")


def read_sessions(reply: Reply) -> list[Session]:
    """The BGP sessions in the answer to `SHOW_SESSIONS`."""
    sessions: list[Session] = []
    channel, is_bgp = "", False
    for code, text in reply.lines:
        if code == Code.PROTOCOL:
            # Name, protocol, table, state, since when, information.
            words = text.split()
            is_bgp = words[1:2] == ["BGP"]
            if is_bgp:
                sessions.append(Session(words[0], " ".join(words[5:])))
        elif code == Code.DETAILS and is_bgp:
            session = sessions[-1]
            if found := _CHANNEL.fullmatch(text):
                channel = found[1]
            elif found := _RECEIVED.fullmatch(text):
                earlier = session.received.get(channel, ())
                session.received[channel] = (*earlier, *found["numbers"].split())
            elif _OPEN.fullmatch(text):
                session.open.add(channel)
            elif found := _ROUTES.fullmatch(text):
                session.routes[channel] = int(found["imported"])
    return sessions


def read_bfd(reply: Reply) -> dict[Address, bool]:
    """Whether each neighbor is up, in the answer to `SHOW_BFD`: address, interface, state, ..."""
    found = {}
    for text in reply.texts(Code.BFD):
        match text.split():
            case [address, _, state, *_]:
                try:
                    found[parse_address(address)] = state == "Up"
                except RouteError:
                    continue  # the heading
    return found


@dataclass(slots=True)
class BirdRoute:
    """A route as it is printed: its prefix, and its attributes by name, as text."""

    prefix: Prefix
    attributes: dict[str, str] = field(default_factory=dict)


_ROUTE: Final = re.compile(r"(?P<prefix>\S*)\s+\S+ \[\S+ [^]]*\].*")
_ATTRIBUTE: Final = re.compile(r"\t(?P<name>[^\t:]+): ?(?P<value>.*)")


def read_routes(reply: Reply) -> Iterator[BirdRoute]:
    """The routes of an answer; of several with one prefix only the first is printed with it."""
    route: BirdRoute | None = None
    prefix: Prefix | None = None
    name = ""
    for code, text in reply.lines:
        if code == Code.ROUTE and (head := _ROUTE.fullmatch(text)):
            if route is not None:
                yield route
            prefix = _prefix(head["prefix"]) if head["prefix"] else prefix
            route = None if prefix is None else BirdRoute(prefix)
        elif code == Code.ATTRIBUTE and route is not None:
            if text.startswith("\t\t"):  # a long value goes on
                route.attributes[name] += f" {text.strip()}"
            elif found := _ATTRIBUTE.fullmatch(text):
                name = found["name"].removeprefix("BGP.")
                route.attributes[name] = found["value"]
    if route is not None:
        yield route


def _prefix(text: str) -> Prefix | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


# Everything that a route of ours is made of.
_OURS: Final = {"as_path", "next_hop", "community", "large_community", MED}


def read_advertisement(route: BirdRoute, neighbor: Neighbor) -> Advertisement | None:
    """What `neighbor` hears of a route of ours; None if that is none of ours."""
    told = route.attributes
    if not told.keys() <= _OURS:
        return None
    own = (neighbor.local_as,) if neighbor.is_external else ()
    try:
        return Advertisement(
            prefix=route.prefix,
            next_hop=parse_address(told.get("next_hop", "")),
            as_path=own + _as_path(told),
            med=int(told[MED]) if MED in told else None,
            communities=_communities(told),
            large_communities=_large_communities(told),
        )
    except ValueError:
        return None


def read_path(route: BirdRoute) -> Path | None:
    """What a neighbor has told, numbered 0: the path ID is not shown. None if it can't be believed."""
    told = route.attributes
    try:
        return Path(
            prefix=route.prefix,
            path_id=0,
            next_hop=parse_address(told.get("next_hop", "").split(" ")[0]),
            as_path=_as_path(told),
            communities=_communities(told),
            large_communities=_large_communities(told),
            originator=IPv4Address(told["originator_id"]) if "originator_id" in told else None,
        )
    except ValueError:
        return None


def _as_path(told: dict[str, str]) -> tuple[int, ...]:
    # Sets stand in braces: no number, so not to be believed.
    return tuple(int(asn) for asn in told.get("as_path", "").split())


def _communities(told: dict[str, str]) -> frozenset[Community]:
    return frozenset(Community(*pair) for pair in _tuples(told.get("community", "")))


def _large_communities(told: dict[str, str]) -> frozenset[LargeCommunity]:
    return frozenset(LargeCommunity(*triple) for triple in _tuples(told.get("large_community", "")))


def _tuples(text: str) -> Iterable[tuple[int, ...]]:
    return (tuple(map(int, inner.split(","))) for inner in re.findall(r"\(([\d, ]+)\)", text))
