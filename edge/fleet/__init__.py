"""The operator's side of a fleet: one file, `fleet.toml`, everything that is made from it, and the ways to its nodes.

Read `schema` for what may stand in it, `load` for the way from its text to a `Fleet`, `derive` for what follows for a node,
`checks` for what nodes can get wrong only together, and `render` for the files that they get. `transport` is what a way to
a node can do, `reach` how many are asked at once, `findings` what is wrong by what they answer.

The names here are loaded when they are used: who only reaches a node need not wait for what reads a fleet file.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.fleet.load import is_fleet, load_fleet, parse_fleet, read_fleet
    from edge.fleet.model import Fleet, Node

__all__ = ["Fleet", "Node", "is_fleet", "load_fleet", "parse_fleet", "read_fleet"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "edge.fleet.model" if name in ("Fleet", "Node") else "edge.fleet.load"
    return getattr(import_module(module), name)
