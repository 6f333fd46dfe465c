"""A client of FRR's vty sockets: what a router's sessions and routes look like to bgpd itself.

The protocol of vtysh: a command ends with a NUL; the answer ends with three NULs and a byte, which is 0 if the
command was understood (FRR, lib/vty.c). Neighbours are addresses to FRR; their names are in the descriptions.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.errors import EdgeError, UnreachableError
from edge.lab.rib import Prefix, RibRoute, Session

_END = b"\0\0\0"
_LONGEST_ANSWER = 1 << 22
# FRR says these in words (RFC 1997, RFC 8326).
_WELL_KNOWN = {
    "graceful-shutdown": (65535, 0),
    "no-export": (65535, 65281),
    "no-advertise": (65535, 65282),
}


@dataclass(frozen=True, slots=True)
class Damped:
    """A route with a penalty for its flaps (RFC 2439), as the router counts it now.

    A ``suppressed`` route is not used for another ``reuse_s`` seconds, until the penalty has decayed. The route may
    be withdrawn at the moment: the router remembers.
    """

    session: str
    penalty: int
    flaps: int
    suppressed: bool
    reuse_s: float


class Vty:
    """Asks one bgpd; a connection for each question. ``directory`` has its socket."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "bgpd.vty"

    async def sessions(self) -> tuple[Session, ...]:
        """All BGP sessions."""
        return tuple(parse_sessions(await self._ask("show bgp summary json")))

    async def routes(self, prefix: Prefix) -> tuple[RibRoute, ...]:
        """What the router knows about a prefix; () if nothing."""
        return tuple(parse_routes(await self._paths(prefix), await self._names()))

    async def damped(self, prefix: Prefix) -> tuple[Damped, ...]:
        """The routes to a prefix that have a penalty; () also where the router does not damp."""
        return tuple(parse_damped(await self._paths(prefix), await self._names()))

    async def _paths(self, prefix: Prefix) -> Any:
        return (await self._ask(f"show bgp ipv{prefix.version} unicast {prefix} json")).get("paths", [])

    async def _names(self) -> dict[str, str]:
        families = (await self._ask("show bgp summary json")).values()
        return {address: peer["desc"] for family in families for address, peer in family["peers"].items()}

    async def _ask(self, question: str) -> Any:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=_LONGEST_ANSWER)
        except OSError as error:
            raise UnreachableError(f"bgpd at {self._socket}: {error.strerror}") from None
        try:
            writer.write(question.encode() + b"\0")
            answer = (await reader.readuntil(_END)).removesuffix(_END).decode(errors="replace")
            (status,) = await reader.readexactly(1)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            raise UnreachableError(f"bgpd closed {self._socket}") from None
        finally:
            writer.close()
        if status:
            raise EdgeError(f"bgpd at {self._socket}: {question}: {answer.strip()}")
        return json.loads(answer)


def parse_sessions(summary: Any) -> Iterator[Session]:
    """The answer to ``show bgp summary json``: families, in them peers by address."""
    for family in summary.values():
        for peer in family["peers"].values():
            since = peer.get("peerUptimeEstablishedEpoch")
            clock = "-" if since is None else datetime.fromtimestamp(since, UTC).strftime("%H:%M:%S")
            yield Session(peer["desc"], peer["state"], clock)


def parse_routes(paths: Any, names: Mapping[str, str]) -> Iterator[RibRoute]:
    """The ``paths`` of ``show bgp ... PREFIX json``; ``names`` are the sessions' by the neighbours' addresses."""
    for path in paths:
        if "dampeningHistoryEntry" in path:  # withdrawn; kept for its penalty
            continue
        communities = path.get("community", {}).get("string", "").split()
        large = path.get("largeCommunity", {}).get("string", "").split()
        yield RibRoute(
            session=names[path["peer"]["peerId"]],
            best=path.get("bestpath", {}).get("overall", False),
            next_hop=path["nexthops"][0]["ip"],
            as_path=tuple(int(asn) for asn in path["aspath"]["string"].split()),
            local_pref=path.get("locPrf"),
            communities=tuple(_WELL_KNOWN.get(text) or _numbers(text) for text in communities),
            large_communities=tuple(_numbers(text) for text in large),
        )


def parse_damped(paths: Any, names: Mapping[str, str]) -> Iterator[Damped]:
    """The penalties in the ``paths`` of ``show bgp ... PREFIX json``."""
    for path in paths:
        if "dampeningPenalty" in path:
            yield Damped(
                session=names[path["peer"]["peerId"]],
                penalty=path["dampeningPenalty"],
                flaps=path["dampeningFlapCount"],
                suppressed=path.get("dampeningSuppressed", False),
                reuse_s=path.get("reuseTimerMsecs", 0) / 1000,
            )


def _numbers(text: str) -> Any:
    """A community, as a tuple of its two or three numbers."""
    return tuple(map(int, text.split(":")))
