"""A client of BIRD's control socket: what a router's sessions and routes look like to the router itself.

Replies are lines ``NNNN-text`` and last ``NNNN text``; a line that begins with a space or a plus continues the
code before it. Codes of 8000 and above are errors (BIRD, doc/reply_codes).
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge.errors import EdgeError, UnreachableError
from edge.lab.rib import Prefix, RibRoute, Session

_PROTOCOL_LIST = 1002
_ROUTE_LIST = 1007
_ROUTE_ATTRIBUTES = 1012
_FIRST_ERROR = 8000

# A reflector has no way to the next hops of what it passes on, and calls them unreachable.
_ROUTE = re.compile(r"(unicast|unreachable) \[(?P<session>\S+) [^]]*\](?P<best> \*)?")
# received, rejected, filtered, ignored, accepted
_IMPORTS = re.compile(r"\s+Import updates:\s+\d+\s+\d+\s+(?P<filtered>\d+)")
_ATTRIBUTE = re.compile(r"\s+BGP\.(?P<name>\w+): (?P<value>.*)")


class Birdc:
    """Asks one BIRD; a connection for each question."""

    def __init__(self, control: Path) -> None:
        self._control = control

    async def sessions(self) -> tuple[Session, ...]:
        """All BGP sessions."""
        lines = await self._ask("show protocols")
        return tuple(parse_sessions(text for code, text in lines if code == _PROTOCOL_LIST))

    async def routes(self, prefix: Prefix) -> tuple[RibRoute, ...]:
        """What the router knows about a prefix, best first; () if nothing."""
        lines = await self._ask(f"show route {prefix} all")
        return tuple(parse_routes(text for code, text in lines if code in (_ROUTE_LIST, _ROUTE_ATTRIBUTES)))

    async def filtered(self, session: str) -> int:
        """How many routes from a session the router has refused since it started."""
        lines = await self._ask(f"show protocols all {session}")
        return sum(map(parse_filtered, (text for _, text in lines)))

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
    """The lines of ``show route PREFIX all``: a head line for each route, then its attributes."""
    head: re.Match[str] | None = None
    attributes: dict[str, str] = {}
    for line in lines:
        if match := _ROUTE.search(line):
            if head is not None:
                yield _route(head, attributes)
            head, attributes = match, {}
        elif match := _ATTRIBUTE.match(line):
            attributes[match["name"]] = match["value"]
    if head is not None:
        yield _route(head, attributes)


def parse_filtered(line: str) -> int:
    """Of a line of ``show protocols all``, the number of routes that an import filter refused; most have none."""
    found = _IMPORTS.match(line)
    return 0 if found is None else int(found["filtered"])


def _route(head: re.Match[str], attributes: dict[str, str]) -> RibRoute:
    local_pref = attributes.get("local_pref")
    communities = re.findall(r"\((\d+), ?(\d+)\)", attributes.get("community", ""))
    large = re.findall(r"\((\d+), ?(\d+), ?(\d+)\)", attributes.get("large_community", ""))
    return RibRoute(
        session=head["session"],
        best=bool(head["best"]),
        next_hop=attributes.get("next_hop", "").split(" ")[0],
        as_path=tuple(int(asn) for asn in attributes.get("as_path", "").split()),
        local_pref=None if local_pref is None else int(local_pref),
        communities=tuple((int(high), int(low)) for high, low in communities),
        large_communities=tuple((int(first), int(second), int(third)) for first, second, third in large),
        originator=attributes.get("originator_id", ""),
    )
