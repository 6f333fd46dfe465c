"""A client of BIRD's control socket: what a router's sessions and routes look like to the router itself.

Replies are lines ``NNNN-text`` and last ``NNNN text``; a line that begins with a space or a plus continues the
code before it. Codes of 8000 and above are errors (BIRD, doc/reply_codes).
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from edge.errors import EdgeError, UnreachableError

_PROTOCOL_LIST = 1002
_ROUTE_LIST = 1007
_ROUTE_ATTRIBUTES = 1012
_FIRST_ERROR = 8000

_ROUTE = re.compile(r"unicast \[(?P<session>\S+) [^]]*\](?P<best> \*)?")
_NEXT_HOP = re.compile(r"\s+via (?P<gateway>\S+) on (?P<interface>\S+)")
_ATTRIBUTE = re.compile(r"\s+BGP\.(?P<name>\w+): (?P<value>.*)")


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session. ``state`` is BIRD's word for it: Established, Active, Connect, Idle, Passive, ..."""

    name: str
    state: str
    since: str

    @property
    def established(self) -> bool:
        """Whether routes flow."""
        return self.state == "Established"


@dataclass(frozen=True, slots=True)
class RibRoute:
    """A route as one neighbour gave it; ``best`` if it is the one in use (or the first of those that are)."""

    session: str
    best: bool
    gateway: str
    interface: str
    as_path: tuple[int, ...]
    communities: tuple[tuple[int, int], ...]


class Birdc:
    """Asks one BIRD; a connection for each question."""

    def __init__(self, control: Path) -> None:
        self._control = control

    async def sessions(self) -> tuple[Session, ...]:
        """All BGP sessions."""
        lines = await self._ask("show protocols")
        return tuple(parse_sessions(text for code, text in lines if code == _PROTOCOL_LIST))

    async def routes(self, prefix: IPv4Network | IPv6Network) -> tuple[RibRoute, ...]:
        """What the router knows about a prefix, best first; () if nothing."""
        lines = await self._ask(f"show route {prefix} all")
        return tuple(parse_routes(text for code, text in lines if code in (_ROUTE_LIST, _ROUTE_ATTRIBUTES)))

    async def _ask(self, question: str) -> list[tuple[int, str]]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._control)
        except OSError as error:
            raise UnreachableError(f"bird at {self._control}: {error.strerror}") from None
        try:
            await _read_reply(reader)  # the greeting
            writer.write(question.encode() + b"\n")
            reply = await _read_reply(reader)
        finally:
            writer.close()
        code, text = reply[-1]
        if code >= _FIRST_ERROR and "Network not found" not in text:
            raise EdgeError(f"bird at {self._control}: {question}: {text}")
        return reply


async def _read_reply(reader: asyncio.StreamReader) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    code = 0
    while True:
        line = (await reader.readline()).decode(errors="replace").rstrip("\n")
        if not line:
            raise UnreachableError("bird closed its control socket")
        if line[0] in " +":
            lines.append((code, line[1:]))
            continue
        code = int(line[:4])
        lines.append((code, line[5:]))
        if line[4] == " ":
            return lines


def parse_sessions(lines: Iterable[str]) -> Iterator[Session]:
    """The lines of ``show protocols``: name, protocol, table, state, since, info."""
    for line in lines:
        name, kind, _, state, since, *info = line.split(maxsplit=5)
        if kind == "BGP":
            yield Session(name, info[0].split()[0] if info else state, since)


def parse_routes(lines: Iterable[str]) -> Iterator[RibRoute]:
    """The lines of ``show route PREFIX all``: a head line for each route, then next hop and attributes."""
    head: re.Match[str] | None = None
    gateway = interface = ""
    attributes: dict[str, str] = {}

    def finished() -> Iterator[RibRoute]:
        if head is not None:
            path = tuple(int(asn) for asn in attributes.get("as_path", "").split())
            pairs = re.findall(r"\((\d+),(\d+)\)", attributes.get("community", ""))
            communities = tuple((int(high), int(low)) for high, low in pairs)
            yield RibRoute(head["session"], bool(head["best"]), gateway, interface, path, communities)

    for line in lines:
        if match := _ROUTE.search(line):
            yield from finished()
            head, gateway, interface, attributes = match, "", "", {}
        elif match := _NEXT_HOP.match(line):
            gateway, interface = match["gateway"], match["interface"]
        elif match := _ATTRIBUTE.match(line):
            attributes[match["name"]] = match["value"]
    yield from finished()
