"""What follows for a node's configuration from the rest of the fleet file: nobody writes it twice.

Some of it is fixed, and a fleet file that says it itself is refused (`REFUSED`); the rest is what holds where nothing is
said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge.config.values import Address
from edge.fleet.merge import Merged
from edge.fleet.places import KeyPath
from edge.fleet.schema import MD5_SECRET, Document, NodeEntry, NodeTables, Secrets

REFUSED: Final[dict[KeyPath, str]] = {
    ("node",): "name, site and server_id are those of [[nodes]]",
    ("unicast", "addresses"): "they are the addresses of [[nodes]]",
    ("tls",): "its files are named in [secrets]",
    ("keys",): "its file is named in [secrets]",
    ("fleet",): "its file is made of [[nodes]]",
    ("auth", "keys_file"): "the file is named in [secrets], as token_keys",
    ("admin", "socket"): "the path is that of [access] socket",
    ("metrics", "listen"): "it is the first address of the node, and [monitoring] port",
}
"""Keys that are fixed, with where they come from."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a node's files are."""

    certificate: str
    private_key: str
    key_ring: str
    token_keys: str
    members: str
    manage_addresses: bool | None
    """None: as the node's own default says."""


_CREDENTIALS: Final = "/run/credentials/edge.service"

_MD5_FILE: Final = f"{_CREDENTIALS}/bgp-md5.key"

INSTALLED: Final = Layout(
    certificate="/etc/edge/tls/chain.pem",
    private_key="/etc/edge/tls/key.pem",
    key_ring="/etc/edge/keys/ring.toml",
    token_keys="/etc/edge/keys/tokens.jwks",
    members="/etc/edge/members.toml",
    manage_addresses=False,  # edge-addresses.service does, so that a restart of the node leaves them where they are
)
"""As the Ansible role installs a node."""

SEALED: Final = replace(
    INSTALLED,
    certificate=f"{_CREDENTIALS}/chain.pem",
    private_key=f"{_CREDENTIALS}/key.pem",
    token_keys=f"{_CREDENTIALS}/tokens.jwks",
)
"""Likewise, with ``[secrets] sealed``: systemd decrypts them when the node is started, and only then."""


def on_this_machine(secrets: Secrets) -> Layout:
    """For nodes that run here, beside the fleet file: the operator's own files, and the members beside the node's file."""

    def path(file: Path | None) -> str:
        return "" if file is None else str(file)

    return Layout(
        certificate=path(secrets.certificate),
        private_key=path(secrets.private_key),
        key_ring=path(secrets.key_ring),
        token_keys=path(secrets.token_keys),
        members="members.toml",
        manage_addresses=None,
    )


def secrets_of(document: Document, entry: NodeEntry) -> Secrets:
    """The files that a node gets: its own before those of all."""
    own = {key: path for key in entry.secrets.__struct_fields__ if (path := getattr(entry.secrets, key))}
    shared = document.secrets
    return Secrets(**{**shared.named(), **own}, md5=shared.md5, sealed=shared.sealed)


def md5_origins(merged: Merged) -> list[KeyPath]:
    """Which of the secrets its neighbors' keys are, each once."""
    neighbors = merged.get("bgp", "neighbors")
    found = [
        merged.origin(("bgp", "neighbors", number, "md5_file"))
        for number in range(len(neighbors) if isinstance(neighbors, list) else 0)
    ]
    return list(dict.fromkeys(origin for origin in found if origin[:1] == ("secrets",)))


def socket_of(document: Document, entry: NodeEntry) -> str:
    """The path of its admin socket."""
    return entry.socket or document.access.socket.replace("{name}", entry.name)


def node_tables(document: Document, index: int, layers: list[tuple[NodeTables, KeyPath]]) -> Merged:
    """The ``node.toml`` of ``document.nodes[index]``: ``layers`` over each other, and what follows."""
    merged = Merged()
    for tables, origin in layers:
        merged.lay(tables, origin)
    _Derivation(document, index, merged).run()
    return merged


class _Derivation:
    """Puts into ``merged`` what follows for one node. A value of the wrong type is left for the schema to complain about."""

    def __init__(self, document: Document, index: int, merged: Merged) -> None:
        self._document = document
        self._entry = document.nodes[index]
        self._entry_at: KeyPath = ("nodes", index)
        self._merged = merged
        self._secrets = secrets_of(document, self._entry)
        installed = SEALED if self._secrets.sealed else INSTALLED
        self._layout = on_this_machine(self._secrets) if document.access.transport == "unix" else installed

    def run(self) -> None:
        self._identity()
        self._files()
        self._operators_side()
        if not self._entry.announce:
            self._merged.drop("bgp")
        if isinstance(self._merged.get("bgp"), dict):
            self._bgp()

    def _fixed(self, path: KeyPath, value: object, origin: KeyPath) -> None:
        if isinstance(self._merged.get(*path[:-1]) if len(path) > 1 else {}, dict | None):
            self._merged.put(path, value, origin)

    def _unless_given(self, path: KeyPath, value: object, origin: KeyPath) -> None:
        if self._merged.get(*path) is None:
            self._fixed(path, value, origin)

    def _identity(self) -> None:
        entry, at = self._entry, self._entry_at
        self._fixed(("node", "name"), str(entry.name), (*at, "name"))
        self._fixed(("node", "site"), str(entry.site), (*at, "site"))
        self._fixed(("node", "server_id"), bytes(entry.server_id).hex(), (*at, "server_id"))
        addresses = [str(address) for address in entry.addresses]
        self._fixed(("unicast", "addresses"), addresses, (*at, "addresses"))
        host = urlsplit(entry.url).hostname if entry.url else None
        if host:
            self._unless_given(("unicast", "name"), host, (*at, "url"))

    def _files(self) -> None:
        layout, origin = self._layout, ("secrets",)
        self._fixed(("tls", "certificate"), layout.certificate, (*origin, "certificate"))
        self._fixed(("tls", "private_key"), layout.private_key, (*origin, "private_key"))
        self._fixed(("keys", "file"), layout.key_ring, (*origin, "key_ring"))
        self._fixed(("fleet", "file"), layout.members, ("nodes",))
        if self._secrets.token_keys is not None and self._merged.get("auth", "mode") == "token":
            self._fixed(("auth", "keys_file"), layout.token_keys, (*origin, "token_keys"))

    def _operators_side(self) -> None:
        document, first = self._document, self._entry.addresses[0]
        own = (*self._entry_at, "socket") if self._entry.socket else ("access", "socket")
        self._fixed(("admin", "socket"), socket_of(document, self._entry), own)
        self._fixed(("metrics", "listen"), _port_of(first, document.monitoring.port), ("monitoring", "port"))
        if document.monitoring.page_port is not None:
            page = _port_of(first, document.monitoring.page_port)
            self._unless_given(("admin", "page_listen"), page, ("monitoring", "page_port"))
        if document.access.transport == "tls":
            listen = _port_of(first, document.access.port)
            self._unless_given(("admin", "listen"), listen, ("access", "port"))
        if self._layout.manage_addresses is not None:
            self._unless_given(
                ("service", "manage_addresses"), self._layout.manage_addresses, ("access", "transport")
            )

    def _bgp(self) -> None:
        addresses = {address.version: str(address) for address in self._entry.addresses}
        at = (*self._entry_at, "addresses")
        if 4 in addresses:
            self._unless_given(("bgp", "router_id"), addresses[4], at)
        neighbors = self._merged.get("bgp", "neighbors")
        for number, neighbor in enumerate(neighbors if isinstance(neighbors, list) else ()):
            if isinstance(neighbor, dict):
                self._neighbor(("bgp", "neighbors", number), neighbor, addresses, at)

    def _neighbor(
        self, path: KeyPath, neighbor: dict[str, object], addresses: dict[int, str], at: KeyPath
    ) -> None:
        version = 6 if ":" in str(neighbor.get("address")) else 4
        if version in addresses:
            self._unless_given((*path, "local_address"), addresses[version], at)
        other = 10 - version
        families = neighbor.get("families")
        if other in addresses and isinstance(families, list) and f"ipv{other}" in families:
            self._unless_given((*path, f"next_hop_ipv{other}"), addresses[other], at)
        named = neighbor.get("md5_file")
        files = self._secrets.md5_files()
        if isinstance(named, str) and named in files:
            here = self._document.access.transport == "unix"
            origin: KeyPath = ("secrets", named) if named == MD5_SECRET else ("secrets", "md5", named)
            self._fixed((*path, "md5_file"), str(files[named]) if here else _MD5_FILE, origin)


def _port_of(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
