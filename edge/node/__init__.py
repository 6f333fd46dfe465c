"""A node, wired: workers that serve, and the routing control that brings callers here or sends them elsewhere.

This is the one place where QUIC meets BGP. The order of things is what keeps callers from falling between:

    up      address on lo -> sockets -> workers -> admin -> speaker -> self-probe x 3 -> announce
    down    withdraw -> seen withdrawn -> grace -> speaker stops -> workers stop -> address off lo

and in between, several times a second: load -> pressure -> admission (told to the workers) -> policy (told to
the speaker). The speaker's lease is renewed from the same event loop: a node that cannot decide cannot go on
announcing.
"""

from edge.node.node import Node, run

__all__ = ["Node", "run"]
