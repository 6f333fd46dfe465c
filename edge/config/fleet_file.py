"""Who is in the fleet: the file that all nodes share, and that changes when one is added."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from edge.config.load import explained
from edge.config.schema import NodeConfig, Table
from edge.config.values import Address, Name, ServerId, decoder_hook
from edge.errors import ConfigError


class FleetNode(Table, frozen=True):
    """``addresses`` are unicast: at most one of each family.

    ``url``: where callers that another node hands over find it, ``https://NAME`` or ``https://NAME:PORT``; without it,
    its addresses, and the port that callers find the service at.
    """

    name: Name
    site: Name
    server_id: ServerId
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=2)]
    url: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class FleetFile(Table, frozen=True):
    """The whole file."""

    nodes: Annotated[tuple[FleetNode, ...], msgspec.Meta(min_length=1)]


def parse_fleet(text: str) -> FleetFile:
    """Raises `ConfigError` that names the key."""
    try:
        fleet = msgspec.toml.decode(text, type=FleetFile, dec_hook=decoder_hook(Path()))
    except msgspec.ValidationError as error:
        raise explained(error, FleetFile) from error
    except msgspec.DecodeError as error:
        raise ConfigError("$", f"is not TOML: {error}") from error
    _all_different("name", ((str(node.name),) for node in fleet.nodes))
    _all_different("server_id", ((bytes(node.server_id).hex(),) for node in fleet.nodes))
    _all_different("addresses", (map(str, node.addresses) for node in fleet.nodes))
    for index, node in enumerate(fleet.nodes):
        if len({address.version for address in node.addresses}) < len(node.addresses):
            raise ConfigError(f"$.nodes[{index}].addresses", "two are of one family")
        if node.url is not None and not is_origin(node.url):
            raise ConfigError(f"$.nodes[{index}].url", f"{node.url!r} is not like https://NAME:PORT")
    return fleet


def check_membership(fleet: FleetFile, config: NodeConfig) -> None:
    """Raises `ConfigError` if the node of ``config`` is not in it, or is there as another one."""
    own = next((node for node in fleet.nodes if node.name == config.node.name), None)
    if own is None:
        raise ConfigError("$.nodes", f"{config.node.name} is not among them; add this node")
    if own.server_id != config.node.server_id:
        raise ConfigError(
            "$.nodes",
            f"{own.name} has server_id {bytes(own.server_id).hex()} here"
            f" and {bytes(config.node.server_id).hex()} in its own file",
        )
    if set(own.addresses) != set(config.unicast.addresses):
        raise ConfigError("$.nodes", f"{own.name} has other addresses here than in its own file")


def is_origin(url: str) -> bool:
    """Whether it names a host and no more."""
    try:
        parts = urlsplit(url)
        named = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and parts.username is None and not (parts.path or parts.query or parts.fragment)


def _all_different(key: str, values: Iterable[Iterable[str]]) -> None:
    seen: dict[str, int] = {}
    for index, of_node in enumerate(values):
        for value in of_node:
            if value in seen:
                raise ConfigError(f"$.nodes[{index}].{key}", f"{value} is that of nodes[{seen[value]}], too")
            seen[value] = index
