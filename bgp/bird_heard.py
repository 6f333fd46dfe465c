"""What neighbors of the fleet have told BIRD, made into events: the difference between one look and the next.

BIRD does not say what it hears as it hears it. It counts what each neighbor tells; when a count has changed, the whole
table of that neighbor is looked at, the more seldom the larger it is. Two things it does not show at all:

* the path IDs of the neighbor (RFC 7911). The paths of one prefix are told from each other by originator and next hop,
  and get numbers of our own;
* the end of what a neighbor has at the start (RFC 4724). It has come when nothing new was counted for ``QUIET_S``.

A channel that goes beyond its limit takes in nothing more, and what is known of it is then incomplete: ``Flooded``,
until the session comes up anew. The limit is for each family.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bgp.bird_control import Reply, read_path, read_routes
from bgp.received import EndOfRib, Flooded, Path, PathHeard, PathLost, ReceivedEvent
from bgp.route import Address, Prefix

# Between two looks at a table of MANY_PATHS or more; at a smaller one in proportion.
LOOK_INTERVAL_S: Final = 1.0
MANY_PATHS: Final = 1000
QUIET_S: Final = 1.0

# A path's prefix, originator and next hop, and how many before it have the same.
Slot = tuple[Prefix, Address | None, Address, int]


@dataclass(slots=True)
class HeardChannel:
    """One address family of one session with a neighbor of the fleet, while it is up.

    ``count`` is what BIRD has counted, ``looked_at`` what it was when its routes were last asked for.
    """

    neighbor: Address
    version: int
    count: tuple[str, ...] = ()
    counted_at: float = 0.0
    looked_at: tuple[str, ...] = ()
    look_due: float = 0.0
    is_flooded: bool = False
    is_complete: bool = False
    paths: dict[Slot, Path] = field(default_factory=dict)
    path_ids: int = 0

    def counted(self, count: tuple[str, ...], now: float) -> Iterator[ReceivedEvent]:
        """BIRD has counted this; nothing at all on a channel that is not open."""
        if count != self.count:
            self.count, self.counted_at = count, now
        elif count and not self.is_complete and count == self.looked_at and now >= self.counted_at + QUIET_S:
            self.is_complete = True
            yield EndOfRib(self.neighbor, self.version)

    def flooded(self, reason: str) -> Iterator[ReceivedEvent]:
        """It told more than is listened to."""
        if not self.is_flooded:
            self.is_flooded = True
            self.paths.clear()
            yield Flooded(self.neighbor, reason)

    def is_look_due(self, now: float) -> bool:
        """Time to ask for its routes, followed by ``seen``."""
        return not self.is_flooded and self.count != self.looked_at and now >= self.look_due

    def seen(self, count: tuple[str, ...], paths: Mapping[Slot, Path], now: float) -> Iterator[ReceivedEvent]:
        """All its paths, asked for when BIRD had counted ``count``."""
        before, self.paths = self.paths, {}
        for slot, path in paths.items():
            known = before.pop(slot, None)
            if known is None:
                self.path_ids += 1
            path = replace(path, path_id=self.path_ids if known is None else known.path_id)
            self.paths[slot] = path
            if path != known:
                yield PathHeard(self.neighbor, path)
        for path in before.values():
            yield PathLost(self.neighbor, path.prefix, path.path_id)
        self.looked_at = count
        self.look_due = now + LOOK_INTERVAL_S * min(1.0, len(self.paths) / MANY_PATHS)


def read_paths(reply: Reply) -> dict[Slot, Path]:
    """What a neighbor has told, without what can't be believed. Of 10,000 paths this takes a fraction of a second."""
    paths = {}
    same: Counter[tuple[Prefix, Address | None, Address]] = Counter()
    for route in read_routes(reply):
        path = read_path(route)
        if path is not None:
            kind = (path.prefix, path.originator, path.next_hop)
            paths[*kind, same[kind]] = path
            same[kind] += 1
    return paths
