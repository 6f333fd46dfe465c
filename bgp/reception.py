"""Which paths the fleet's neighbors have told us of, so that there is an end to how many.

A neighbor is listened to while its session is up. One that tells of more than its ``max_routes`` paths, or more
than could be carried to us, is not listened to any more until its session comes up anew: what we know of it is
then incomplete, and whoever counts on it must hear so (``Flooded``) instead of half a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bgp import updates
from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost, ReceivedEvent
from bgp.route import Address, Prefix


class Reception:
    """See the module. Only the neighbors with the role FLEET count."""

    def __init__(self, neighbors: Iterable[Neighbor]) -> None:
        self._limits = {
            neighbor.address: neighbor.max_routes for neighbor in neighbors if neighbor.role is Role.FLEET
        }
        # An entry for everyone who is listened to: prefix and path ID of what stands.
        self._paths: dict[Address, set[tuple[Prefix, int]]] = {}

    def session_up(self, neighbor: Address) -> None:
        """It begins with nothing."""
        if neighbor in self._limits:
            self._paths[neighbor] = set()

    def session_down(self, neighbor: Address) -> None:
        """Everything it told is withdrawn."""
        self._paths.pop(neighbor, None)

    def update(self, neighbor: Address, message: object) -> Iterator[ReceivedEvent]:
        """The events of one message; of one that is not listened to, none, and nothing of it is read."""
        if neighbor not in self._paths:
            return
        paths, limit = self._paths[neighbor], self._limits[neighbor]
        for event in updates.read(neighbor, message):
            match event:
                case PathHeard(path=path):
                    paths.add((path.prefix, path.path_id))
                    if len(paths) > limit:
                        yield from self._give_up(neighbor, f"more than {limit} routes")
                        return
                case PathLost(prefix=prefix, path_id=path_id):
                    # Routers also withdraw what they never announced.
                    if (prefix, path_id) not in paths:
                        continue
                    paths.remove((prefix, path_id))
                case EndOfRib():
                    pass
            yield event

    def updates_dropped(self, neighbor: Address) -> Iterator[ReceivedEvent]:
        """Some of what it told was thrown away on the way here."""
        if neighbor in self._paths:
            yield from self._give_up(neighbor, "updates faster than they are read")

    def _give_up(self, neighbor: Address, reason: str) -> Iterator[ReceivedEvent]:
        del self._paths[neighbor]
        yield Flooded(neighbor, reason)
