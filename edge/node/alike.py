"""What all nodes of a fleet have to have alike, as hashes that a scraper can compare.

Nodes differ in most of their files: names, neighbors, policies of a site. In some things they must not, because a caller
cannot know which node answers.
"""

from __future__ import annotations

import msgspec

from edge.config import NodeConfig
from edge.config.fingerprint import config_hash
from edge.config.fleet_file import FleetFile


def alike(config: NodeConfig, fleet: FleetFile | None) -> dict[str, str]:
    """By the parts of `edge.runtime.metric_table.ALIKE`; ``members`` only where there is such a file."""
    service = {
        "addresses": sorted(map(str, config.service.addresses)),
        "port": config.service.port,
        "prefixes": sorted(config.bgp.prefixes) if config.bgp is not None else [],
        "connection_ids": config.cid.profile,
        "forward_port": config.forward.port,
        "audience": config.auth.audience,
    }
    found = {"service": _hash(service)}
    if fleet is not None:
        found["members"] = _hash(
            sorted(
                [
                    str(node.name),
                    str(node.site),
                    bytes(node.server_id).hex(),
                    sorted(map(str, node.addresses)),
                    node.url,
                ]
                for node in fleet.nodes
            )
        )
    return found


def _hash(document: object) -> str:
    """Of what it says and not of how it is written: order and spaces of a file make no difference."""
    return config_hash(msgspec.json.encode(document, order="sorted").decode())
