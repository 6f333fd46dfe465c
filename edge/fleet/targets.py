"""The nodes as Prometheus finds them: the document of its ``http_sd`` and of its ``file_sd``."""

from __future__ import annotations

import msgspec

from edge.fleet.model import Fleet


class TargetGroup(msgspec.Struct, frozen=True):
    """``targets``: host and port. ``labels`` are put on every series of theirs."""

    targets: tuple[str, ...]
    labels: dict[str, str]


def targets(fleet: Fleet) -> list[TargetGroup]:
    """One group a node, in the order of the fleet file."""
    return [
        TargetGroup((str(node.metrics),), {"site": str(node.site), "node": str(node.name)})
        for node in fleet.nodes
        if node.metrics is not None
    ]


def targets_json(fleet: Fleet) -> bytes:
    """As a document, the same for the same fleet."""
    return msgspec.json.format(msgspec.json.encode(targets(fleet))) + b"\n"
