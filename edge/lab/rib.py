"""What a router says of itself, whatever it runs."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Session:
    """A BGP session. ``state`` is the router's word for it: Established, Active, Connect, Idle, Passive, ..."""

    name: str
    state: str
    since: str

    @property
    def established(self) -> bool:
        """Whether routes flow."""
        return self.state == "Established"


@dataclass(frozen=True, slots=True, kw_only=True)
class RibRoute:
    """A route as one neighbour gave it; ``best`` if it is the one in use (or the first of those that are).

    ``originator`` is the router ID of the node that a reflector has it from, directly or not; empty elsewhere.
    """

    session: str
    best: bool
    next_hop: str
    as_path: tuple[int, ...] = ()
    local_pref: int | None = None
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    originator: str = ""


class Router(Protocol):
    """Asks a router. Raises UnreachableError if it does not answer."""

    async def sessions(self) -> tuple[Session, ...]:
        """All BGP sessions."""
        ...

    async def routes(self, prefix: Prefix) -> tuple[RibRoute, ...]:
        """What it knows about a prefix; () if nothing."""
        ...


def session_name(neighbour: str, version: str) -> str:
    """What a router calls its session with a neighbour; ``version`` is ``v4`` or ``v6``."""
    return f"{neighbour.replace('-', '_')}_{version}"
