"""What a standing lab says of itself. Pure."""

from datetime import datetime

import msgspec

from edge.lab.wire import WayCounters


class NodeStatus(msgspec.Struct, frozen=True):
    """A node and its unicast addresses."""

    name: str
    role: str
    asn: int | None
    v4: str
    v6: str


class ProcessStatus(msgspec.Struct, frozen=True):
    """A program on a node. ``pid`` is the number inside the lab; ``returncode`` is null while it runs."""

    node: str
    name: str
    pid: int
    returncode: int | None


class SessionStatus(msgspec.Struct, frozen=True):
    """A BGP session as its router sees it."""

    router: str
    name: str
    state: str
    since: str


class LabStatus(msgspec.Struct, frozen=True, rename={"api_version": "apiVersion"}):
    """The whole lab at one moment."""

    api_version: str
    kind: str
    name: str
    since: datetime
    at: datetime
    nodes: tuple[NodeStatus, ...]
    processes: tuple[ProcessStatus, ...]
    links: tuple[WayCounters, ...]
    sessions: tuple[SessionStatus, ...]
