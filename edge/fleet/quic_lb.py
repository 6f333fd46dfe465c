"""Connection IDs, from the operator's side: what a load balancer must know to read them, and whose one is. Pure.

Where the YANG modules of draft-ietf-quic-load-balancers have a name for something it has that name here, with underscores.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.cid import CidConfig, CidError, CidRing, DecodedCid
from edge.errors import UsageError
from edge.fleet.model import Fleet, Node
from edge.keys import KeyRing
from edge.quic import CidProfile, cid_configs


class Mapping(msgspec.Struct, frozen=True):
    """``server_id`` in hex. ``server_address``: where a balancer passes packets to; one for each family."""

    server_id: str
    server_address: str
    node: str


class Configuration(msgspec.Struct, frozen=True):
    """One QUIC-LB configuration. Lengths in bytes; ``cid_key`` in hex, None where it is not shown or there is none.

    ``issued``: nodes use it for new connection IDs; others are for those that are still out.
    """

    config_id: int
    issued: bool
    profile: str
    algorithm: str
    first_octet_encodes_cid_length: bool
    server_id_length: int
    nonce_length: int
    cid_length: int
    worker_octet: bool
    key_fingerprint: str | None
    cid_key: str | None
    server_id_mappings: tuple[Mapping, ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """``node``: None if no node of the fleet has that server ID."""

    profile: CidProfile
    config: CidConfig
    decoded: DecodedCid
    node: Node | None


def table(fleet: Fleet, ring: KeyRing, *, show_keys: bool) -> list[Configuration]:
    """Every configuration that is live, by profile and by generation."""
    return [
        _configuration(fleet, ring, profile, config, show_keys=show_keys)
        for profile in _profiles(fleet)
        for config in cid_configs(profile, ring)
    ]


def owner(fleet: Fleet, ring: KeyRing, cid: bytes) -> Owner:
    """Whose ``cid`` is. Raises `UsageError` if it is not a connection ID of any configuration that is live."""
    problems: list[str] = []
    for profile in _profiles(fleet):
        configs = {config.rotation: config for config in cid_configs(profile, ring)}
        try:
            decoded = CidRing(configs.values()).decode(cid)
        except CidError as error:
            problems.append(f"{profile}: {error}")
            continue
        node = next((node for node in fleet.nodes if node.server_id == decoded.server_id), None)
        return Owner(profile, configs[decoded.rotation], decoded, node)
    raise UsageError(f"{cid.hex()}: is no connection ID of this fleet and ring ({'; '.join(problems)})")


def _profiles(fleet: Fleet) -> list[CidProfile]:
    return sorted({node.config.cid.profile for node in fleet.nodes}, reverse=True)


def _configuration(
    fleet: Fleet, ring: KeyRing, profile: CidProfile, config: CidConfig, *, show_keys: bool
) -> Configuration:
    keyed = config.key is not None
    generation = ring.find(config.rotation) if keyed else None
    mappings = [
        Mapping(bytes(node.server_id).hex(), str(address), str(node.name))
        for node in fleet.nodes
        if node.config.cid.profile == profile
        for address in node.addresses
    ]
    return Configuration(
        config_id=config.rotation,
        issued=not keyed or config.rotation == ring.issue,
        profile=profile,
        algorithm=str(config.algorithm),
        first_octet_encodes_cid_length=config.encode_length,
        server_id_length=config.server_id_length,
        nonce_length=config.nonce_length,
        cid_length=config.cid_length,
        worker_octet=config.worker_octet,
        key_fingerprint=generation.fingerprint if generation else None,
        cid_key=config.key.hex() if config.key is not None and show_keys else None,
        server_id_mappings=tuple(mappings),
    )
