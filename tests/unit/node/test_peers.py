"""What an operator is shown of the sessions follows what happens to the speaker."""

from __future__ import annotations

import msgspec

from bgp.neighbor import Advertisement
from bgp.route import parse_address, parse_prefix
from bgp.speaker import SpeakerLost
from bgp.table import NeighborChanged, RouteAcknowledged
from edge.config.schema import Bgp
from edge.node.peers import Peers

ROUTER, PREFIX = parse_address("203.0.113.10"), parse_prefix("198.51.100.0/24")
BGP = {
    "router_id": "203.0.113.11",
    "local_as": 64600,
    "prefixes": ["198.51.100.0/24"],
    "neighbors": [{"address": "203.0.113.10", "local_address": "203.0.113.11", "peer_as": 64501}],
}


def test_a_route_of_a_speaker_that_is_gone_is_not_shown_for_ever() -> None:
    """It may be withdrawn before the next speaker is there, which then has nothing to acknowledge."""
    peers = Peers(msgspec.convert(BGP, Bgp))
    told = Advertisement(PREFIX, parse_address("203.0.113.11"), as_path=(64600,))
    peers.take(NeighborChanged(ROUTER, is_up=True, reason=""), 1.0)
    peers.take(RouteAcknowledged(ROUTER, PREFIX, told), 1.0)
    (shown,) = peers.routes_document("e1", (), {(ROUTER, PREFIX): told}).announced
    assert shown.confirmed
    peers.take(NeighborChanged(ROUTER, is_up=False, reason="the speaker is gone"), 2.0)
    peers.take(SpeakerLost("killed", 0.0), 2.0)
    assert peers.routes_document("e1", (), {}).announced == ()
