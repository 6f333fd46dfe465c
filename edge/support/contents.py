"""What may go into a bundle: the list, and how each thing on it is cut down to what is known to be harmless."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final

import msgspec

import edge
from edge.config import NodeConfig, load_members
from edge.doctor.files import secret_files
from edge.errors import EdgeError
from edge.runtime.documents import BgpPeers, BgpRoutes, DrainReport, NodeExplanation
from edge.support.scrub import REDACTED, Network, networks, secrets_in

STATUS_KEYS: Final = (
    "apiVersion",
    "kind",
    "node",
    "site",
    "version",
    "time",
    "started_at",
    "config",
    "lease",
    "operation",
    "state",
    "reason",
    "announced",
    "deprefer",
    "announced_changed_at",
    "hold",
    "drain",
    "pressure",
    "pressure_signal",
    "pressures",
    "admission",
    "refuse_probability",
    "refusal_ratio",
    "calls",
    "connections",
    "probe",
    "bgp",
    "workers",
    "generations",
    "keys",
    "problems",
    "decisions",
)

DOCUMENTS: Final[Mapping[str, tuple[str, type[Any]]]] = {
    "explain.json": ("/explain", NodeExplanation),
    "bgp-peers.json": ("/bgp/peers", BgpPeers),
    "bgp-routes.json": ("/bgp/routes", BgpRoutes),
    "drain.json": ("/drain", DrainReport),
}
"""File -> where a node is asked for it, and what it may consist of: fields that are not in its struct stay out."""

METRICS: Final = "/metrics"
PACKAGES: Final = ("aioquic", "cryptography", "exabgp", "msgspec", "pyroute2")


def cut_status(status: Mapping[str, Any]) -> dict[str, Any]:
    return {key: status[key] for key in STATUS_KEYS if key in status}


def cut_document(document: object, kind: type[Any]) -> object:
    """Raises msgspec.ValidationError for another version's."""
    return msgspec.to_builtins(msgspec.convert(document, kind))


def cut_config(text: str) -> dict[str, Any]:
    """A configuration without its comments, and without what a backend's table says in words. Raises ValueError.

    Our own tables name secrets by their files. A backend's may hold anything, also a key that somebody put there.
    """
    document = tomllib.loads(text)
    known = {field.encode_name for field in msgspec.structs.fields(NodeConfig)}
    cut = {key: value for key, value in document.items() if key in known and key != "backends"}
    backends = document.get("backends")
    if isinstance(backends, dict):
        cut["backends"] = {
            name: {key: _harmless(key, value) for key, value in table.items()}
            for name, table in backends.items()
            if isinstance(table, dict)
        }
    return cut


def _harmless(key: str, value: object) -> object:
    if isinstance(value, bool | int | float) or (key.endswith("_file") and isinstance(value, str)):
        return value
    return REDACTED


def versions() -> dict[str, str]:
    found = {
        "anycast-edge": edge.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    try:
        found["system"] = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        found["system"] = ""
    return found | {package: metadata.version(package) for package in PACKAGES}


def our_networks(config: NodeConfig) -> list[Network]:
    """Whose addresses may be seen: nodes, routers, and what we announce. Nobody calls from there."""
    return networks(_our_addresses(config))


def _our_addresses(config: NodeConfig) -> Iterator[str]:
    yield from ("127.0.0.0/8", "::1/128", "0.0.0.0/32", "::/128")
    yield from map(str, (*config.service.addresses, *config.unicast.addresses, *config.view.members))
    for route in config.source_routes:
        yield str(route.gateway)
    try:
        members = load_members(config)
    except EdgeError:
        members = None
    for node in members.nodes if members else ():
        yield from map(str, node.addresses)
    if config.bgp is None:
        return
    yield from config.bgp.prefixes
    yield str(config.bgp.router_id)
    for neighbor in config.bgp.sessions():
        yield from (str(neighbor.address), str(neighbor.local_address))
    for configured in config.bgp.neighbors:
        if configured.router_id is not None:
            yield str(configured.router_id)


def known_secrets(config: NodeConfig) -> tuple[list[str], list[str]]:
    """Everything secret that this user can read, in every way it may be written; and the files that could not be read."""
    secrets: list[str] = []
    unread: list[str] = []
    for path in secret_files(config).values():
        try:
            secrets += secrets_in(path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError:
            unread.append(str(path))
    return secrets, unread
