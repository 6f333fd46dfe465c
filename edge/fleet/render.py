"""The files that nodes get, made from the fleet: the same fleet gives the same text, byte by byte.

Whatever its file is called: another text is another configuration, for which a node is drained and restarted.
"""

from __future__ import annotations

from edge.config.fingerprint import config_hash
from edge.config.schema import NodeConfig
from edge.fleet.model import Fleet, Node
from edge.fleet.places import KeyPath
from edge.fleet.writing import written

__all__ = ["config_hash", "members_toml", "node_toml"]

_ORDER = NodeConfig.__struct_fields__


def node_toml(fleet: Fleet, node: Node) -> str:
    """The configuration of ``node``; behind each key stands where it comes from."""
    head = (
        f"# {node.name} of the fleet {fleet.name}. Made from the fleet file by `edgectl config render`: change it there.\n"
        "# Behind each key: where that file says so, or what it follows from.\n\n"
    )
    return head + written(node.tables, order=_ORDER, comment=lambda path: _source(node, path))


def members_toml(fleet: Fleet) -> str:
    """Who is in the fleet: the same file for all nodes."""
    nodes = [
        {
            "name": str(node.name),
            "site": str(node.site),
            "server_id": bytes(node.server_id).hex(),
            "addresses": [str(address) for address in node.addresses],
            **({} if node.url is None else {"url": node.url}),
        }
        for node in fleet.nodes
    ]
    head = f"# The nodes of the fleet {fleet.name}. Made from the fleet file by `edgectl config render`: change it there.\n\n"
    return head + written({"nodes": nodes})


def _source(node: Node, path: KeyPath) -> str:
    match node.merged.origin(path):
        case ("defaults", *_):
            return "defaults"
        case ("sites", site, *_):
            return f"sites.{site}"
        case ("nodes", _, "config", *_):
            return "nodes.config"
        case origin:  # it follows from there
            return ".".join(part for part in origin if isinstance(part, str))
