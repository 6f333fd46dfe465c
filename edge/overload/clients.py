"""Clients told apart by their addresses: how many of something each has, and how fast it comes for more."""

from collections import Counter
from ipaddress import IPv6Address

from edge.bucket import TokenBucket

MAX_REMEMBERED = 10_000
"""Clients whose rate is known; those that have not come of late are forgotten first."""


def client_of(host: str) -> str:
    """What one customer has many of stands for itself: an IPv6 address for its /64. Raises ValueError for no address."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    return address.exploded[:19]  # four groups of four digits: the /64


class Shares:
    """What clients have at present; each may have ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: Counter[str] = Counter()

    def has_room(self, client: str) -> bool:
        return self._of[client] < self._most

    def total(self) -> int:
        return self._of.total()

    def add(self, client: str) -> None:
        self._of[client] += 1

    def drop(self, client: str) -> None:
        """One less; nothing is kept of a client that has none."""
        self._of[client] -= 1
        if not self._of[client]:
            del self._of[client]


class Rates:
    """How often each client may come: ``burst`` times at once, and ``per_s`` for good."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._of: dict[str, TokenBucket] = {}

    def take(self, client: str, now: float) -> bool:
        """Whether it may come now; if so, that is counted."""
        bucket = self._of.get(client)
        if bucket is None:
            if len(self._of) >= MAX_REMEMBERED:
                kept = {name: known for name, known in self._of.items() if not known.is_full(now)}
                self._of = kept if len(kept) < MAX_REMEMBERED else {}
            bucket = self._of[client] = TokenBucket(self._per_s, self._burst)
        return bucket.take(1, now)
