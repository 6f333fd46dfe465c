"""What a node says of itself, as far as looking after a fleet needs it: the document of ``GET /status``, and its reader.

Nodes of other versions are in every fleet that is being upgraded, so what one of them does not tell yet has a default,
and what is told beyond is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edge.errors import EdgeError
from edge.runtime.holds import Hold


class Drain(msgspec.Struct, frozen=True):
    """``since_s``: how long it has been in ``phase``. ``left``: calls that are up."""

    phase: str
    since_s: float = 0.0
    left: int = 0


class ConfigSeen(msgspec.Struct, frozen=True):
    """``hash``: of the text that was loaded, see `edge.config.fingerprint`. ``changed_on_disk`` since then."""

    hash: str = ""
    file: str = ""
    changed_on_disk: bool = False


class LeaseSeen(msgspec.Struct, frozen=True):
    """Who works on the node; wall-clock times."""

    who: str = ""
    what: str = ""
    since: float = 0.0
    until: float = 0.0


class Operation(msgspec.Struct, frozen=True):
    """What an operator's tool is about. ``interrupted``: it has gone in the middle of it, and ``advice`` says what to do."""

    kind: str = ""
    who: str = ""
    state: str = ""
    step: str = ""
    reason: str = ""
    interrupted: bool = False
    advice: str = ""


class BgpSeen(msgspec.Struct, frozen=True):
    """Each neighbor as ``up`` or ``down``."""

    neighbors: dict[str, str] = {}


class KeysSeen(msgspec.Struct, frozen=True):
    version: int = 0


class Connections(msgspec.Struct, frozen=True):
    """By what became of them."""

    migrated: int = 0
    on_anycast: int = 0
    direct: int = 0


class NodeStatus(msgspec.Struct, frozen=True):
    """Keys as in docs/reference/admin.md."""

    node: str
    state: str
    announced: bool
    site: str = ""
    version: str = ""
    reason: str = ""
    deprefer: bool = False
    hold: Hold | None = None
    drain: Drain | None = None
    pressure: float = 0.0
    pressure_signal: str = ""
    refuse_probability: float = 0.0
    calls: int = 0
    connections: Connections = Connections()
    bgp: BgpSeen | None = None
    keys: KeysSeen = KeysSeen()
    problems: tuple[str, ...] = ()
    config: ConfigSeen | None = None
    lease: LeaseSeen | None = None
    operation: Operation | None = None

    @property
    def migrated_share(self) -> float | None:
        """Of the calls that came by the service address; None without such calls."""
        came = self.connections.migrated + self.connections.on_anycast
        return self.connections.migrated / came if came else None

    @property
    def neighbors_down(self) -> tuple[str, ...]:
        return tuple(address for address, state in (self.bgp or BgpSeen()).neighbors.items() if state != "up")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the fleet file says of a node; empty where it says nothing, or there is none."""

    name: str
    site: str = ""
    version: str = ""
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A node as it was found: its status, or why there is none."""

    wanted: Wanted
    status: NodeStatus | None = None
    error: EdgeError | None = None

    @property
    def name(self) -> str:
        return self.wanted.name

    @property
    def site(self) -> str:
        return self.wanted.site or (self.status.site if self.status else "")


def understood(document: Any) -> NodeStatus:
    """Raises `EdgeError` if it is none."""
    try:
        return msgspec.convert(document, NodeStatus)
    except msgspec.ValidationError as error:
        raise EdgeError(f"its status is of another version ({error}); use its own edgectl") from error
