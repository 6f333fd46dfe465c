"""What the pages read of a node's documents. What a node of another version does not tell is simply not shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from edge.runtime.documents import BgpPeers, NodeExplanation
from edge.runtime.holds import Hold, WallTime
from edge.runtime.lease import Holder

TARGETS: Final[Mapping[str, str]] = MappingProxyType(
    {"status": "/status", "explanation": "/explain", "peers": "/bgp/peers"}
)
"""Where a node is asked for what a `Snapshot` holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The answers of one node as builtins, None for those that it did not give; ``problem``: why not."""

    name: str
    status: object = None
    explanation: object = None
    peers: object = None
    problem: str = ""


class Config(msgspec.Struct, frozen=True):
    hash: str = ""
    file: str = ""
    changed_on_disk: bool = False


class Drain(msgspec.Struct, frozen=True):
    phase: str = ""
    since_s: float = 0.0
    deadline_in_s: float | None = None
    left: int = 0
    fates: dict[str, int] = {}


class Probe(msgspec.Struct, frozen=True):
    passed: int = 0
    failed: int = 0
    problem: str = ""


class Bgp(msgspec.Struct, frozen=True):
    prefixes: tuple[str, ...] = ()
    neighbors: dict[str, str] = {}


class Worker(msgspec.Struct, frozen=True):
    worker: int = 0
    pid: int | None = None
    generation: int = 0
    version: str = ""
    calls: int = 0


class Keys(msgspec.Struct, frozen=True):
    version: int = 0


class Status(msgspec.Struct, frozen=True):
    """See docs/reference/admin.md for what is what."""

    node: str
    site: str = ""
    version: str = ""
    time: WallTime = 0.0
    started_at: WallTime | None = None
    config: Config | None = None
    lease: Holder | None = None
    operation: dict[str, Any] | None = None
    state: str = ""
    reason: str = ""
    announced: bool = False
    deprefer: bool = False
    hold: Hold | None = None
    drain: Drain | None = None
    pressure: float = 0.0
    pressure_signal: str = ""
    pressures: dict[str, float] = {}
    admission: str = ""
    refuse_probability: float = 0.0
    calls: int = 0
    connections: dict[str, int] = {}
    probe: Probe = Probe()
    bgp: Bgp | None = None
    workers: tuple[Worker, ...] = ()
    keys: Keys = Keys()
    problems: tuple[str, ...] = ()

    @property
    def migrated_ratio(self) -> float | None:
        """Of the connections that arrived on the service address; None if there are none."""
        arrived = self.connections.get("migrated", 0) + self.connections.get("on_anycast", 0)
        return self.connections.get("migrated", 0) / arrived if arrived else None


@dataclass(frozen=True, slots=True)
class Facts:
    """A snapshot that was understood; without a ``status`` the node is out of reach, and ``problem`` says why."""

    name: str
    status: Status | None
    explanation: NodeExplanation | None
    peers: BgpPeers | None
    problem: str

    @classmethod
    def of(cls, snapshot: Snapshot) -> Facts:
        problem = snapshot.problem
        try:
            status = None if snapshot.status is None else msgspec.convert(snapshot.status, Status)
        except msgspec.ValidationError as error:
            status, problem = None, f"its status is of another version: {error}"
        return cls(
            name=status.node if status else snapshot.name,
            status=status,
            explanation=_if_understood(snapshot.explanation, NodeExplanation),
            peers=_if_understood(snapshot.peers, BgpPeers),
            problem=problem or ("" if status else "it has not answered"),
        )


def _if_understood(document: object, kind: type[Any]) -> Any:
    try:
        return None if document is None else msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return None
