"""Desired against told, for a speaker that is given its whole table at once.

Theory. *Desired* is what every neighbor should hear, *configured* what the speaker was last given, and *told* what
it says has gone into its sessions.

1. While desired and configured differ, the speaker is given the whole of desired. It takes all of it or nothing; if
   it takes nothing, that ends its life, for a route of its old table may be one that was withdrawn.
2. After that, and every ``reconcile_interval_s``, told is asked for. A channel is one address family of a session; one
   that is not open will be told what is configured. Otherwise told and configured must be the same.
3. They may differ for a moment, while a session comes up. A difference seen at two looks in a row, ``RETRY_S`` apart,
   is reported, and the speaker is given the table again; one that stays for ``GIVEN_UP_AT`` looks ends this life:
   nothing short of killing it makes that speaker obey.

At the end of a life (``SpeakerFailed``) the owner kills the speaker; ``speaker_started`` begins another one, which
has been given nothing. Sans-IO: the owner asks, gives and brings the time; ``now`` never goes backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import Final

from bgp.neighbor import Advertisement, Neighbor
from bgp.route import Address, Prefix, Route
from bgp.table import (
    Diverged,
    Key,
    NeighborChanged,
    RouteAcknowledged,
    SpeakerFailed,
    Synchronized,
    TableEvent,
    Told,
    compare,
    wanted,
)

Routes = Mapping[Key, Advertisement]
Channel = tuple[Address, int]

RETRY_S: Final = 0.2
REPORTED_AT: Final = 2
GIVEN_UP_AT: Final = 4


class BirdTable:
    """See the module."""

    def __init__(self, neighbors: Iterable[Neighbor], *, reconcile_interval_s: float) -> None:
        self._neighbors = {neighbor.address: neighbor for neighbor in neighbors}
        self._reconcile_interval_s = reconcile_interval_s
        self._events: deque[TableEvent] = deque()
        self._desired: Routes = {}
        self._sessions_up: frozenset[Address] = frozenset()
        self._begin(is_running=False)

    def _begin(self, *, is_running: bool, now: float = 0.0) -> None:
        self._is_running = is_running
        self._configured: Routes = {}
        self._told: Told = {}
        self._looks_at_difference: dict[Key, int] = {}
        self._repair_wanted = False
        self._look_due = now
        self._synchronized = False

    # --- the owner's verbs ------------------------------------------------------------------------------

    def announce(self, route: Route) -> None:
        """As ``RouteTable.announce``. Raises RouteError, and then has changed nothing."""
        self._desire({**self._desired, **wanted(self._neighbors.values(), route)})

    def withdraw(self, prefix: Prefix) -> None:
        """No neighbor is to hear about ``prefix`` any more."""
        self._desire({key: value for key, value in self._desired.items() if key[1] != prefix})

    def withdraw_all(self) -> None:
        self._desire({})

    def speaker_started(self, now: float) -> None:
        """A new speaker listens and has been given no routes yet."""
        self._begin(is_running=True, now=now)

    def speaker_lost(self) -> None:
        """The speaker is gone, and with it its sessions and every route it had."""
        self._begin(is_running=False)
        self.sessions_seen({}, "the speaker is gone")

    def _desire(self, desired: Routes) -> None:
        if desired != self._desired:
            self._desired = desired
            self._synchronized = False

    # --- what the owner may ask -------------------------------------------------------------------------

    @property
    def is_synchronized(self) -> bool:
        """Told was seen to be what is desired, and nothing has changed since."""
        return self._synchronized

    @property
    def announces_nothing(self) -> bool:
        """It is certain that no neighbor hears a route from us."""
        return not self._is_running or (self._synchronized and not self._desired)

    @property
    def sessions_up(self) -> frozenset[Address]:
        return self._sessions_up

    @property
    def routes_out(self) -> Told:
        """Told as it was last seen: a value of None is a route that is not of our making."""
        return self._told

    # --- giving and looking -----------------------------------------------------------------------------

    def next_event(self) -> TableEvent | None:
        return self._events.popleft() if self._events else None

    def routes_to_give(self) -> Routes | None:
        """The table to give to the speaker now, followed by ``given``; None if it has it."""
        if not self._repair_wanted and self._configured == self._desired:
            return None
        self._repair_wanted = False
        return self._desired

    def given(self, routes: Routes, now: float) -> None:
        """The speaker has taken ``routes``."""
        before, self._configured = self._configured, routes
        for key in before.keys() | routes.keys():
            if before.get(key) != routes.get(key):
                self._events.append(RouteAcknowledged(*key, routes.get(key)))
                # It is a new question whether it obeys.
                self._looks_at_difference.pop(key, None)
        self._look_due = now

    def sessions_seen(self, reasons: Mapping[Address, str], reason: str = "") -> None:
        """Which sessions are up: those with an empty text in ``reasons``; the others say why not, or ``reason``."""
        up = frozenset(address for address in reasons if not reasons[address])
        for address in sorted(up ^ self._sessions_up, key=str):
            words = reasons.get(address) or reason
            self._events.append(NeighborChanged(address, address in up, words))
            self._look_due = 0.0
        self._sessions_up = up

    def is_look_due(self, now: float) -> bool:
        """Time to ask what has gone into the open channels, followed by ``told_seen``."""
        return now >= self._look_due

    def told_seen(self, told: Told, channels: Container[Channel], now: float) -> None:
        """All that went into these ``channels``, the open ones; the speaker was given nothing meanwhile."""
        configured = self._configured
        closed = {key: value for key, value in configured.items() if (key[0], key[1].version) not in channels}
        self._told = {**told, **closed}
        different = {
            key: divergence
            for key in configured.keys() | self._told.keys()
            if (divergence := compare(key, configured, self._told)) is not None
        }
        before = self._looks_at_difference
        self._looks_at_difference = {key: before.get(key, 0) + 1 for key in different}
        for key, looks in self._looks_at_difference.items():
            if looks == REPORTED_AT:
                self._events.append(Diverged(*key, different[key]))
                self._repair_wanted = True
            elif looks >= GIVEN_UP_AT:
                address, prefix = key
                self._events.append(SpeakerFailed(f"{prefix} to {address} stays {different[key].value}"))
                return
        self._look_due = now + (RETRY_S if different else self._reconcile_interval_s)
        was_synchronized = self._synchronized
        self._synchronized = not different and configured == self._desired
        if self._synchronized and not was_synchronized:
            self._events.append(Synchronized())
