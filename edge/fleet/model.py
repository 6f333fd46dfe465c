"""A fleet as the rest of the tools see it: read, checked, and with everything derived that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.config.schema import NodeConfig
from edge.config.values import Address, Name, ServerId, SocketAddress
from edge.errors import UsageError
from edge.fleet.merge import Merged
from edge.fleet.places import KeyPath
from edge.fleet.schema import Access, Monitoring, NodeTables, Secrets, Site


@dataclass(frozen=True, slots=True)
class Node:
    """``ssh`` and ``user``: what ssh is given; ``user`` None: what ssh's own configuration says.

    ``socket``: the path of its admin socket, on that machine. ``secrets``: the files that this node gets. ``config``: its
    ``node.toml`` as it will read it, ``merged`` the same before reading, with the origin of each key.
    """

    name: Name
    site: Name
    server_id: ServerId
    addresses: tuple[Address, ...]
    ssh: str
    user: str | None
    socket: Path
    url: str | None
    announce: bool
    secrets: Secrets
    config: NodeConfig
    merged: Merged

    @property
    def tables(self) -> NodeTables:
        """Its ``node.toml``, as builtins."""
        return self.merged.document

    @property
    def metrics(self) -> SocketAddress | None:
        """Where Prometheus finds it."""
        return self.config.metrics.listen


@dataclass(frozen=True, slots=True)
class Fleet:
    """``file``: as the user has named it; ``lines``: where in it each key stands.

    ``secrets``: those of nodes that have none of their own.
    """

    file: Path
    name: Name
    version: str
    access: Access
    secrets: Secrets
    monitoring: Monitoring
    sites: Mapping[str, Site]
    nodes: tuple[Node, ...]
    lines: Mapping[KeyPath, int]

    def node(self, name: str) -> Node:
        """Raises UsageError if there is none of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(f"{self.file}: no node {name!r}; there are {', '.join(self.names)}")

    def at(self, site: str) -> tuple[Node, ...]:
        """The nodes of ``site``. Raises UsageError if there is no such site."""
        if site not in self.sites:
            raise UsageError(f"{self.file}: no site {site!r}; there are {', '.join(self.sites)}")
        return tuple(node for node in self.nodes if node.site == site)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(node.name) for node in self.nodes)
