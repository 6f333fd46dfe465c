"""Verify effects, not acknowledgements: our own routes, watched as they come back from the fleet's neighbors.

Theory. A reflector tells us again what we told another one. So we see from outside whether the world hears a service
prefix from us: it must appear after it was announced and disappear after it was withdrawn. A path is ours by its
next hop, or by its originator where a reflector had to put itself in as the next hop.

* Withdrawn and still there for ``alarm_s``: an ``Alarm``. For ``last_resort_s``: ``KillSpeaker``, once for each
  withdrawal, because a copy that outlives the speaker is not the speaker's and no second death will help.
* Announced and not there for ``alarm_s``: an ``Alarm``. That is asked only of neighbors that have echoed before, and
  only while all of them count: what one reflector sends back, it has from the others.
* From the decision to all neighbors agreeing with it: ``Converged``, unless a session changed meanwhile.

Direct neighbors, and a reflector without others, echo nothing. Then nothing is claimed (``is_available``).

Pure: ask for ``events`` at every tick. The times are those of the network, so no lab shortens them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost
from bgp.route import Address, Prefix
from bgp.source import FleetEvent, Source
from bgp.table import NeighborChanged

Seconds = Annotated[float, msgspec.Meta(ge=0)]

# Copies of one route that are remembered for each neighbor; a reflector tells one for each of its peers.
_MAX_COPIES: Final = 64


class EchoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator may tune. ``sync_s``: what a neighbor is given that never says it has told everything."""

    alarm_s: Seconds = 5.0
    last_resort_s: Seconds = 10.0
    sync_s: Seconds = 10.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """For ``lasted_s``, ``neighbors`` have contradicted what we decided: to announce ``prefix``, or not to."""

    prefix: Prefix
    announced: bool
    neighbors: tuple[Address, ...]
    lasted_s: float


@dataclass(frozen=True, slots=True)
class KillSpeaker:
    """``prefix`` was withdrawn and is still there: nothing short of the speaker's death takes it away."""

    prefix: Prefix
    neighbors: tuple[Address, ...]
    lasted_s: float


@dataclass(frozen=True, slots=True)
class Converged:
    """All neighbors that echo agree with the decision of ``convergence_s`` ago."""

    prefix: Prefix
    announced: bool
    convergence_s: float


EchoEvent = Alarm | KillSpeaker | Converged


@dataclass(slots=True)
class _Watch:
    """One prefix: what was decided, and since when neighbors contradict it (None: they don't)."""

    announced: bool = False
    decided_at: float = 0.0
    is_timed: bool = False
    wrong_since: float | None = None
    was_alarmed: bool = False
    was_killed: bool = False


class Echo:
    """``own`` are our next hops and router IDs; of ``neighbors`` those with the role FLEET echo."""

    def __init__(
        self,
        params: EchoParams,
        own: frozenset[Address],
        service: Iterable[Prefix],
        neighbors: Iterable[Neighbor],
    ) -> None:
        self._params = params
        self._own = own
        self._watches = {prefix: _Watch() for prefix in service}
        self._sources = {
            (neighbor.address, version): Source(neighbor.address, version, sync_s=params.sync_s)
            for neighbor in neighbors
            if neighbor.role is Role.FLEET
            for version in neighbor.versions
        }
        # Path IDs of what is ours, by who tells it.
        self._copies: defaultdict[tuple[Source, Prefix], set[int]] = defaultdict(set)
        self._echoing: set[Source] = set()
        self._events: deque[EchoEvent] = deque()

    @property
    def is_available(self) -> bool:
        """A route of ours has come back from somebody."""
        return bool(self._echoing)

    def is_visible(self, now: float) -> bool | None:
        """Whether a neighbor still tells a route of ours that is not to be announced; None if nobody could say so.

        None as well while there is nothing that is not announced.
        """
        verdicts = [
            self._contradicting(prefix, now) for prefix, watch in self._watches.items() if not watch.announced
        ]
        if not verdicts or None in verdicts:
            return None
        return any(verdicts)

    def desire(self, announced: Collection[Prefix], now: float) -> None:
        """These are to be announced from now on, and the others are not. The same again changes nothing."""
        for prefix, watch in self._watches.items():
            if watch.announced == (prefix in announced):
                continue
            self._watches[prefix] = watch = _Watch(announced=not watch.announced, decided_at=now)
            # The way there can be timed from where it begins. That nobody has told our routes yet is a beginning, but
            # not while neighbors come up: then it is their start that would be timed.
            contradicting = self._contradicting(prefix, now)
            sources = [one for one in self._sources.values() if one.version == prefix.version]
            is_first = watch.announced and contradicting is None
            watch.is_timed = bool(contradicting) or (is_first and all(one.counts(now) for one in sources))
            self._look(prefix, now)

    def take(self, event: FleetEvent, now: float) -> None:
        """Any event of a speaker that is about a neighbor; those of other neighbors change nothing."""
        match event:
            case PathHeard(neighbor=neighbor, path=path):
                is_own = path.next_hop in self._own or path.originator in self._own
                self._set_copy(neighbor, path.prefix, path.path_id, is_own=is_own, now=now)
            case PathLost(neighbor=neighbor, prefix=prefix, path_id=path_id):
                self._set_copy(neighbor, prefix, path_id, is_own=False, now=now)
            case NeighborChanged() | EndOfRib() | Flooded():
                for version in (4, 6):
                    source = self._sources.get((event.neighbor, version))
                    if source is not None and source.take(event, now):
                        self._forget(source)
                for prefix in self._watches:
                    self._look(prefix, now)

    def speaker_lost(self, now: float) -> None:
        """The speaker is gone, and every session with it."""
        for source in self._sources.values():
            source.lost()
            self._forget(source)
        for prefix in self._watches:
            self._look(prefix, now)

    def events(self, now: float) -> tuple[EchoEvent, ...]:
        """What has happened since the last call, and what is due by now."""
        for prefix in self._watches:
            self._look(prefix, now)
        events = tuple(self._events)
        self._events.clear()
        return events

    def _set_copy(self, neighbor: Address, prefix: Prefix, path_id: int, *, is_own: bool, now: float) -> None:
        source = self._sources.get((neighbor, prefix.version))
        if prefix not in self._watches or source is None or not source.listens:
            return
        copies = self._copies[source, prefix]
        if not is_own:
            copies.discard(path_id)
        elif len(copies) < _MAX_COPIES:
            copies.add(path_id)
            self._echoing.add(source)
        self._look(prefix, now)

    def _forget(self, source: Source) -> None:
        for prefix, watch in self._watches.items():
            if prefix.version == source.version:
                self._copies[source, prefix].clear()
                watch.is_timed = False

    def _contradicting(self, prefix: Prefix, now: float) -> list[Source] | None:
        """Who says otherwise than we decided; None when nobody could say so."""
        sources = [source for source in self._sources.values() if source.version == prefix.version]
        counting = [source for source in sources if source.counts(now)]
        echoing = [source for source in counting if source in self._echoing]
        if not echoing:
            return None
        if not self._watches[prefix].announced:
            return [source for source in echoing if self._copies[source, prefix]]
        if len(counting) < len(sources):
            return None
        return [source for source in echoing if not self._copies[source, prefix]]

    def _look(self, prefix: Prefix, now: float) -> None:
        watch, contradicting = self._watches[prefix], self._contradicting(prefix, now)
        if contradicting:
            self._contradicted(prefix, tuple(source.neighbor for source in contradicting), now)
            return
        watch.wrong_since = None
        watch.was_alarmed = False
        if watch.is_timed and contradicting is not None:
            watch.is_timed = False
            self._events.append(Converged(prefix, watch.announced, now - watch.decided_at))

    def _contradicted(self, prefix: Prefix, neighbors: tuple[Address, ...], now: float) -> None:
        watch = self._watches[prefix]
        if watch.wrong_since is None:
            watch.wrong_since = now
        lasted_s = now - watch.wrong_since
        if lasted_s >= self._params.alarm_s and not watch.was_alarmed:
            watch.was_alarmed = True
            self._events.append(Alarm(prefix, watch.announced, neighbors, lasted_s))
        if lasted_s >= self._params.last_resort_s and not watch.announced and not watch.was_killed:
            watch.was_killed = True
            self._events.append(KillSpeaker(prefix, neighbors, lasted_s))
