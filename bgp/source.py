"""Whether what one neighbor of the fleet says can be relied on.

A neighbor counts while its session is up, once it has told everything it knew at the start of the session
(End-of-RIB, RFC 4724; one that never says so is given ``sync_s``), unless it said more than is listened to or comes
and goes all the time.
"""

from __future__ import annotations

from bgp.flap_damper import FlapDamper
from bgp.received import EndOfRib, Flooded, ReceivedEvent
from bgp.route import Address
from bgp.table import NeighborChanged

SessionEvent = NeighborChanged | EndOfRib | Flooded
FleetEvent = ReceivedEvent | NeighborChanged


class Source:
    """One neighbor and one address family. Without ``flaps`` its session may flap as it likes."""

    def __init__(
        self, neighbor: Address, version: int, *, sync_s: float, flaps: FlapDamper | None = None
    ) -> None:
        self.neighbor = neighbor
        self.version = version
        self._sync_s = sync_s
        self._flaps = flaps
        self._up_since: float | None = None
        self._told_everything = False
        self._flooded = ""

    def take(self, event: SessionEvent, now: float) -> bool:
        """True when everything heard so far is void."""
        match event:
            case NeighborChanged(is_up=True):
                self._up_since = now
                self._told_everything = False
                self._flooded = ""
                if self._flaps is not None:
                    self._flaps.charge(1, now)
            case NeighborChanged():
                self._up_since = None
            case Flooded(reason=reason):
                self._flooded = f"says too much: {reason}"
            case EndOfRib(version=version):
                self._told_everything |= self.listens and version == self.version
                return False
        return True

    def lost(self) -> None:
        """The session ended with the speaker."""
        self._up_since = None

    @property
    def listens(self) -> bool:
        """What it says now is worth remembering."""
        return self._up_since is not None and not self._flooded

    def problem(self, now: float) -> str:
        """Why it does not count, empty when it does."""
        if self._up_since is None:
            return "is down"
        if self._flooded:
            return self._flooded
        if self._flaps is not None and self._flaps.is_suppressed(now):
            return "flaps"
        if not self._told_everything and now - self._up_since < self._sync_s:
            return "has not told everything yet"
        return ""

    def counts(self, now: float) -> bool:
        return not self.problem(now)
