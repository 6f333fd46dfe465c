"""What one neighbor of the fleet has told of the nodes, path by path: the adj-RIB-in (RFC 4271), as far as it matters.

Of a control route every copy is kept (with add-path a reflector tells of its own and those of its peers); of a
service prefix only which nodes it leads to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from bgp.control_route import ControlState
from bgp.route import Address, Prefix

# With as many reflectors that are peers of each other, each tells so many copies.
_MAX_COPIES: Final = 8


class TooManyPaths(Exception):
    """More than a reflector has reason to tell. What is known of it is incomplete from now on."""


class AdjRibIn:
    """``service`` are the prefixes that a node which serves must be a next hop of, all of them.

    ``knows_everybody`` is for the owner to set once it is known; what the neighbor is outlives its sessions.
    """

    def __init__(self, service: Collection[Prefix], max_nodes: int) -> None:
        self.knows_everybody = False
        self._service = service
        self._max_routes = _MAX_COPIES * max_nodes * len(service)
        self._states: dict[Address, dict[int, ControlState]] = {}
        self._next_hops: dict[tuple[Prefix, int], Address] = {}
        self._routes: Counter[tuple[Address, Prefix]] = Counter()

    def nodes(self) -> Iterable[Address]:
        return self._states.keys()

    def states(self, node: Address) -> Collection[ControlState]:
        """One for each copy of the node's control route; empty when there is none."""
        copies = self._states.get(node)
        return copies.values() if copies else ()

    def serves(self, node: Address) -> bool:
        return all((node, prefix) in self._routes for prefix in self._service)

    def set_state(self, node: Address, path_id: int, state: ControlState | None) -> None:
        """``state`` is None where the path is gone or says nothing. How many nodes there are, the owner limits.

        Raises TooManyPaths.
        """
        copies = self._states.get(node, {})
        copies.pop(path_id, None)
        if state is not None:
            if len(copies) >= _MAX_COPIES:
                raise TooManyPaths(f"{len(copies) + 1} control routes of {node}")
            copies[path_id] = state
            self._states[node] = copies
        elif not copies:
            self._states.pop(node, None)

    def set_next_hop(self, prefix: Prefix, path_id: int, next_hop: Address | None) -> set[Address]:
        """The nodes this concerns: who the path led to, and who it leads to now (None: nobody).

        Raises TooManyPaths.
        """
        before = self._next_hops.pop((prefix, path_id), None)
        if before is not None:
            self._routes[before, prefix] -= 1
            if not self._routes[before, prefix]:
                del self._routes[before, prefix]
        if next_hop is not None:
            if len(self._next_hops) >= self._max_routes:
                raise TooManyPaths(f"more than {self._max_routes} service routes")
            self._next_hops[prefix, path_id] = next_hop
            self._routes[next_hop, prefix] += 1
        return {node for node in (before, next_hop) if node is not None}

    def clear(self) -> bool:
        """True when there was something to forget."""
        had_something = bool(self._states or self._next_hops)
        self._states.clear()
        self._next_hops.clear()
        self._routes.clear()
        return had_something
