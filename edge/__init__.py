"""anycast-edge: the node. See docs/explanation/architecture.md for the order in which to read it."""

__version__ = "0.1.0"
