"""The page that a node serves of itself, to look at: read only, and without anything that a caller could be known by."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.runtime.admin import Administered
from edge.runtime.http1 import Request, Response, Routes
from edge.statuspage import LIVE_POLICY, Snapshot, node_page

_FIELDS: Final = {
    "Content-Security-Policy": LIVE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_routes(node: Administered, name: str) -> Routes:
    async def page(_: Request) -> Response:
        snapshot = Snapshot(
            name=name,
            status=msgspec.to_builtins(node.status()),
            explanation=msgspec.to_builtins(node.explain()),
            peers=msgspec.to_builtins(node.bgp_peers()),
        )
        text = node_page(snapshot)
        return Response(text.encode(), content_type="text/html; charset=utf-8", fields=_FIELDS)

    return {("GET", "/"): page}
