"""Desired against acknowledged: what every neighbor should hear, and what the speaker says it tells them.

Theory. Three tables, per neighbor and prefix: *desired* (ours), *acknowledged* (what the speaker has confirmed),
and the speaker's *adj-RIB-out* (what it really has). What neighbors tell *us* goes by them, to ``bgp.reception``.

1. While desired and acknowledged differ, the first difference becomes a command; withdrawals before
   announcements, because a route too many attracts callers that nobody serves.
2. When nothing differs any more, and every ``reconcile_interval_s``, the adj-RIB-out is asked for and *becomes*
   the acknowledged table. What it contradicts is reported, and is then a difference like any other.
3. A command the speaker refuses is put aside until the next adj-RIB-out. So neither a stubborn refusal nor an
   acknowledgement that has no effect makes the table talk faster than once per interval.
4. A route that is still there at the second look after it was withdrawn ends this life of the speaker: nothing
   short of killing it takes that route away.
5. Acknowledgements name no command, so at most one is ever under way. One without an answer in time leaves the
   line unreadable, because its late answer would be taken for that of the next. That, too, ends this life.

At the end of a life (``SpeakerFailed``) the owner kills the speaker; ``speaker_started`` begins another one, with
nothing acknowledged.

This is a sans-IO object: the owner brings lines and time in. After every call that changes something, drain
``next_event``, then send ``commands_to_send``, then re-arm from ``get_timer``. ``now`` never goes backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from bgp import text
from bgp.neighbor import Advertisement, Neighbor
from bgp.received import ReceivedEvent
from bgp.reception import Reception
from bgp.route import Address, Prefix, Route, RouteError
from bgp.text import (
    Ack,
    AdjRibOutEntry,
    SessionChanged,
    SessionState,
    UpdateReceived,
    UpdatesDropped,
)

Key = tuple[Address, Prefix]
# A value of None is a route that is there and is not of our making.
Told = Mapping[Key, Advertisement | None]


@dataclass(frozen=True, slots=True)
class RouteAcknowledged:
    """The speaker has confirmed that it tells ``neighbor`` this, or nothing (None) about ``prefix``."""

    neighbor: Address
    prefix: Prefix
    advertisement: Advertisement | None


@dataclass(frozen=True, slots=True)
class RouteRejected:
    """The speaker refused a command; it is tried again after the next look at the adj-RIB-out."""

    neighbor: Address
    prefix: Prefix
    advertisement: Advertisement | None


class Divergence(Enum):
    """How the adj-RIB-out contradicts what was acknowledged."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Diverged:
    """The adj-RIB-out was not what had been acknowledged; it is being repaired."""

    neighbor: Address
    prefix: Prefix
    divergence: Divergence


@dataclass(frozen=True, slots=True)
class Synchronized:
    """The adj-RIB-out is exactly the desired table, for the first time since something changed."""


@dataclass(frozen=True, slots=True)
class NeighborChanged:
    """The session with a neighbor came up or went down."""

    neighbor: Address
    is_up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class SpeakerFailed:
    """The speaker can't be steered any more. Nothing is sent until ``speaker_started``; its routes may stand."""

    reason: str


@dataclass(frozen=True, slots=True)
class LineIgnored:
    """The speaker said something that nothing here depends on."""

    line: str


TableEvent = (
    RouteAcknowledged
    | RouteRejected
    | Diverged
    | Synchronized
    | NeighborChanged
    | SpeakerFailed
    | LineIgnored
    | ReceivedEvent
)


class _Life(Enum):
    """Of the speaker. A failed one still has its sessions and routes, until its owner kills it."""

    ABSENT = "absent"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Change:
    """A command under way that makes ``key`` be ``advertisement`` (None: absent)."""

    key: Key
    advertisement: Advertisement | None


@dataclass(frozen=True, slots=True)
class _Look:
    """A request for the adj-RIB-out under way, with what has come so far."""

    found: dict[Key, Advertisement | None]


class RouteTable:
    """See the module. Both times are in seconds, as ``now`` is."""

    def __init__(
        self, neighbors: Iterable[Neighbor], *, command_timeout_s: float, reconcile_interval_s: float
    ) -> None:
        self._neighbors = {neighbor.address: neighbor for neighbor in neighbors}
        self._reception = Reception(self._neighbors.values())
        self._command_timeout_s = command_timeout_s
        self._reconcile_interval_s = reconcile_interval_s
        self._events: deque[TableEvent] = deque()
        self._desired: dict[Key, Advertisement] = {}
        self._sessions_up: set[Address] = set()
        self._routes_out: Told = {}
        self._begin(_Life.ABSENT)

    def _begin(self, life: _Life, now: float = 0.0) -> None:
        self._life = life
        # A value of None is a route that is there and is not of our making.
        self._acknowledged: dict[Key, Advertisement | None] = {}
        self._rejected: set[Key] = set()
        self._lingering: set[Key] = set()
        self._under_way: _Change | _Look | None = None
        self._command = ""
        self._deadline = 0.0
        self._look_due = now
        self._look_wanted = True
        self._synchronized = False

    # --- the owner's verbs ------------------------------------------------------------------------------

    def announce(self, route: Route) -> None:
        """Every neighbor that carries its family is to hear ``route``, in place of an earlier one of the prefix.

        Raises RouteError when there is none, or when it can't be said to one; then nothing has changed.
        """
        self._desire(self._desired | wanted(self._neighbors.values(), route))

    def withdraw(self, prefix: Prefix) -> None:
        """No neighbor is to hear about ``prefix`` any more."""
        self._desire({key: value for key, value in self._desired.items() if key[1] != prefix})

    def withdraw_all(self) -> None:
        self._desire({})

    def speaker_started(self, now: float) -> None:
        """A new speaker listens and has no routes yet."""
        self._begin(_Life.RUNNING, now)

    def speaker_lost(self) -> None:
        """The speaker is gone, and with it its sessions and every route it had."""
        self._begin(_Life.ABSENT)
        self._routes_out = {}
        for address in sorted(self._sessions_up, key=str):
            self._reception.session_down(address)
            self._events.append(NeighborChanged(address, is_up=False, reason="the speaker is gone"))
        self._sessions_up.clear()

    # --- what the owner may ask -------------------------------------------------------------------------

    @property
    def is_synchronized(self) -> bool:
        """The adj-RIB-out was seen to be the desired table, and nothing has changed since."""
        return self._synchronized

    @property
    def announces_nothing(self) -> bool:
        """It is certain that no neighbor hears a route from us."""
        return self._life is _Life.ABSENT or (self._synchronized and not self._desired)

    @property
    def sessions_up(self) -> frozenset[Address]:
        return frozenset(self._sessions_up)

    @property
    def routes_out(self) -> Told:
        """The adj-RIB-out as it was last seen: a value of None is a route that is not of our making."""
        return self._routes_out

    # --- sans-IO ----------------------------------------------------------------------------------------

    def receive_line(self, line: str, now: float) -> None:
        """One line from the speaker, without its line end."""
        if self._life is not _Life.RUNNING:
            return
        match text.parse_line(line), self._under_way:
            case Ack() as ack, _Change() as change:
                self._finish_change(change, ack)
            case Ack() as ack, _Look() as look:
                self._finish_look(look, ack, now)
            case AdjRibOutEntry(neighbor=address) as entry, _Look() as look if address in self._neighbors:
                look.found[entry.neighbor, entry.prefix] = entry.advertisement
            case SessionChanged() as changed, _:
                self._session_changed(changed)
            case UpdateReceived(neighbor, message), _:
                self._events.extend(self._reception.update(neighbor, message))
            case UpdatesDropped(neighbor), _:
                self._events.extend(self._reception.updates_dropped(neighbor))
            case _:
                self._events.append(LineIgnored(line))

    def commands_to_send(self, now: float) -> list[str]:
        """At most one line, without its line end."""
        if self._life is not _Life.RUNNING or self._under_way is not None:
            return []
        if (change := self._next_change()) is not None:
            self._under_way = change
            self._command = self._text(change)
        elif self._look_wanted or now >= self._look_due:
            self._under_way = _Look({})
            self._command = text.SHOW_ADJ_RIB_OUT
            self._look_wanted = False
        else:
            return []
        self._deadline = now + self._command_timeout_s
        return [self._command]

    def get_timer(self) -> float | None:
        if self._life is not _Life.RUNNING:
            return None
        return self._look_due if self._under_way is None else self._deadline

    def handle_timer(self, now: float) -> None:
        """The time of ``get_timer`` has come."""
        if self._life is _Life.RUNNING and self._under_way is not None and now >= self._deadline:
            self._fail(f"no answer in {self._command_timeout_s:g} s to: {self._command}")

    def next_event(self) -> TableEvent | None:
        return self._events.popleft() if self._events else None

    # --- one difference after the other -----------------------------------------------------------------

    def _desire(self, desired: dict[Key, Advertisement]) -> None:
        if desired == self._desired:
            return
        self._desired = desired
        self._rejected.clear()
        self._look_wanted = True
        self._synchronized = False

    def _next_change(self) -> _Change | None:
        for key in self._acknowledged:
            if key not in self._desired and key not in self._rejected:
                return _Change(key, None)
        for key, advertisement in self._desired.items():
            if self._acknowledged.get(key) != advertisement and key not in self._rejected:
                return _Change(key, advertisement)
        return None

    def _text(self, change: _Change) -> str:
        address, prefix = change.key
        neighbor = self._neighbors[address]
        if change.advertisement is None:
            return text.withdraw(neighbor, prefix)
        return text.announce(neighbor, change.advertisement)

    def _finish_change(self, change: _Change, ack: Ack) -> None:
        self._under_way = None
        if ack is Ack.ERROR:
            self._rejected.add(change.key)
            self._events.append(RouteRejected(*change.key, change.advertisement))
            return
        if change.advertisement is None:
            self._acknowledged.pop(change.key, None)
        else:
            self._acknowledged[change.key] = change.advertisement
        self._events.append(RouteAcknowledged(*change.key, change.advertisement))

    def _finish_look(self, look: _Look, ack: Ack, now: float) -> None:
        self._under_way = None
        if ack is Ack.ERROR:
            self._fail(f"refused: {self._command}")
            return
        self._look_due = now + self._reconcile_interval_s
        self._report_divergence(look.found)
        lingering = {
            key
            for key in look.found.keys() - self._desired.keys()
            if key not in self._acknowledged or key in self._rejected
        }
        if still := lingering & self._lingering:
            address, prefix = min(still, key=str)
            self._fail(f"still announces {prefix} to {address} after its withdrawal")
            return
        self._lingering = lingering
        self._look_wanted |= bool(lingering)
        self._rejected.clear()
        self._routes_out = dict(look.found)
        self._acknowledged = look.found
        was_synchronized, self._synchronized = self._synchronized, look.found == self._desired
        if self._synchronized and not was_synchronized:
            self._events.append(Synchronized())

    def _report_divergence(self, found: Told) -> None:
        for key in self._acknowledged.keys() | found.keys():
            divergence = compare(key, self._acknowledged, found)
            if divergence is not None:
                self._events.append(Diverged(*key, divergence))

    def _fail(self, reason: str) -> None:
        self._begin(_Life.FAILED)
        self._events.append(SpeakerFailed(reason))

    def _session_changed(self, changed: SessionChanged) -> None:
        is_up = changed.state is SessionState.UP
        if is_up == (changed.neighbor in self._sessions_up):
            return
        if is_up:
            self._sessions_up.add(changed.neighbor)
            self._reception.session_up(changed.neighbor)
        else:
            self._sessions_up.discard(changed.neighbor)
            self._reception.session_down(changed.neighbor)
        self._events.append(NeighborChanged(changed.neighbor, is_up, changed.reason))


def wanted(neighbors: Iterable[Neighbor], route: Route) -> dict[Key, Advertisement]:
    """What ``route`` is on each session that carries it. Raises RouteError if none does, or if it can't be said."""
    found = {
        (neighbor.address, route.prefix): advertisement
        for neighbor in neighbors
        if (advertisement := neighbor.advertisement(route)) is not None
    }
    if not found:
        raise RouteError(
            f"no neighbor carries IPv{route.prefix.version}, so none will hear of {route.prefix}"
        )
    return found


def compare(key: Key, confirmed: Told, found: Told) -> Divergence | None:
    """How ``found`` contradicts what was ``confirmed`` about a route that is in one of them."""
    if key not in found:
        return Divergence.MISSING
    if key not in confirmed:
        return Divergence.UNEXPECTED
    return None if confirmed[key] == found[key] else Divergence.DIFFERENT
