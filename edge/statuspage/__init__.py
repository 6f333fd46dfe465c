"""How a node stands, and a whole fleet, as pages to look at: HTML out of the documents that nodes hand out. Pure.

A page is one file. It fetches nothing from elsewhere, and nothing that a node passes on from others can be more in it
than text. No document that goes in holds the address of a caller.
"""

from edge.statuspage.facts import TARGETS, Facts, Snapshot
from edge.statuspage.fleet import fleet_page
from edge.statuspage.node import node_page
from edge.statuspage.style import LIVE_POLICY

__all__ = ["LIVE_POLICY", "TARGETS", "Facts", "Snapshot", "fleet_page", "node_page"]
