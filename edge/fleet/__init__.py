"""The operator's side of a fleet: one file, `fleet.toml`, and everything that is made from it.

Read `schema` for what may stand in it, `load` for the way from its text to a `Fleet`, `derive` for what follows for a node,
`checks` for what nodes can get wrong only together, and `render` for the files that they get.
"""

from edge.fleet.load import is_fleet, load_fleet, parse_fleet, read_fleet
from edge.fleet.model import Fleet, Node

__all__ = ["Fleet", "Node", "is_fleet", "load_fleet", "parse_fleet", "read_fleet"]
