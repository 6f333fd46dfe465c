"""What may stand in the operator's fleet file: one struct a table. docs/reference/fleet.toml says what the keys mean.

Tables of ``node.toml`` are taken as they are; `edge.fleet.derive` adds to them what follows from the rest, and
`edge.config` reads the result.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from edge.config.schema import Port, Table
from edge.config.values import Address, Name, ServerId

NodeTables = dict[str, Any]
"""Tables of a ``node.toml``, not read yet."""

Transport = Literal["ssh", "unix", "tls"]

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+!-]{0,63}")  # as edge-release takes one
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
# No "-" in front: ssh would take it for an option.
_HOST = re.compile(r"[A-Za-z0-9_:\[][A-Za-z0-9._:%\[\]-]{0,252}")


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


class FleetTable(Table, frozen=True):
    """``version``: the release that the nodes shall run. ``terraform``: where more nodes come from, see `edge.fleet.terraform`."""

    name: Name
    version: str
    terraform: Path | None = None

    def __post_init__(self) -> None:
        if not is_version(self.version):
            raise ValueError(f"version: {self.version!r} is none; write it like 0.1.0")


class Access(Table, frozen=True):
    """How the operator reaches the nodes. ``socket``: their admin sockets, ``{name}`` in it stands for the node's name."""

    transport: Transport = "ssh"
    user: str | None = None
    socket: str = "/run/edge/admin.sock"
    port: Port = 4435
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    def __post_init__(self) -> None:
        if self.user is not None and not _LOGIN.fullmatch(self.user):
            raise ValueError(f"user: {self.user!r} is no login name")
        if not self.socket.startswith("/"):
            raise ValueError(f"socket: {self.socket!r} is no absolute path")
        if self.transport == "tls":
            for key in ("ca", "certificate", "private_key"):
                if getattr(self, key) is None:
                    raise ValueError(f'{key}: is missing; transport = "tls" needs it')


class Secrets(Table, frozen=True):
    """Files on the operator's machine, plain or ansible-vault; never their contents.

    ``md5``: keys for TCP MD5 by name, where not all providers have the same. A node has one. ``sealed``: certificate, its
    key and token keys lie encrypted on the nodes, and a new one needs a restart.
    """

    key_ring: Path
    certificate: Path
    private_key: Path
    token_keys: Path | None = None
    bgp_md5: Path | None = None
    md5: dict[str, Path] = msgspec.field(default_factory=dict)
    sealed: bool = False

    def md5_files(self) -> dict[str, Path]:
        """The keys for TCP MD5, by what a neighbor's ``md5_file`` says."""
        return self.md5 if self.bgp_md5 is None else {**self.md5, MD5_SECRET: self.bgp_md5}

    def named(self) -> dict[str, Path]:
        """Those that are given, by their key."""
        return {key: path for key in NAMED if (path := getattr(self, key)) is not None}


class OwnSecrets(Table, frozen=True):
    """Files of one node, in the place of those that all have. The key ring is the same everywhere."""

    certificate: Path | None = None
    private_key: Path | None = None
    token_keys: Path | None = None
    bgp_md5: Path | None = None


NAMED: Final = ("key_ring", "certificate", "private_key", "token_keys", "bgp_md5")
"""The secrets that a node can have, each a file."""

MD5_SECRET: Final = "bgp_md5"
"""What a neighbor's ``md5_file`` says in a fleet file: the name of a secret, not the path of a file."""


class Monitoring(Table, frozen=True):
    """TCP ports on each node's first unicast address. ``page_port``: the status page; none without it."""

    port: Port = 9464
    page_port: Port | None = None


class Site(Table, frozen=True):
    description: str = ""
    defaults: NodeTables = msgspec.field(default_factory=dict)


class NodeEntry(Table, frozen=True):
    """``announce``: false for a node that has no BGP, whatever the defaults say of it."""

    name: Name
    site: Name
    server_id: ServerId
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=2)]
    ssh: str | None = None
    user: str | None = None
    socket: str | None = None
    url: Annotated[str, msgspec.Meta(max_length=300)] | None = None
    announce: bool = True
    secrets: OwnSecrets = OwnSecrets()
    config: NodeTables = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.ssh is not None and not _HOST.fullmatch(self.ssh):
            raise ValueError(f"ssh: {self.ssh!r} is no host, as ssh takes one")
        if self.user is not None and not _LOGIN.fullmatch(self.user):
            raise ValueError(f"user: {self.user!r} is no login name")
        if self.socket is not None and not self.socket.startswith("/"):
            raise ValueError(f"socket: {self.socket!r} is no absolute path")


class Document(Table, frozen=True):
    """The whole file."""

    fleet: FleetTable
    secrets: Secrets
    sites: dict[str, Site]
    nodes: tuple[NodeEntry, ...]
    access: Access = Access()
    monitoring: Monitoring = Monitoring()
    defaults: NodeTables = msgspec.field(default_factory=dict)
