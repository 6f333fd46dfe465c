"""Desired against told, where the speaker is given everything at once. Virtual time throughout."""

import pytest

from bgp.bird_table import GIVEN_UP_AT, RETRY_S, BirdTable, Told
from bgp.neighbor import Neighbor
from bgp.route import Route, RouteError, parse_address, parse_prefix
from bgp.table import (
    Diverged,
    Divergence,
    NeighborChanged,
    RouteAcknowledged,
    SpeakerFailed,
    Synchronized,
    TableEvent,
)

A, B = parse_address("198.51.100.1"), parse_address("198.51.100.5")
SERVICE, SECOND = Route.parse("192.0.2.0/24"), Route.parse("203.0.113.0/24")
RECONCILE_S = 5.0


class Speaker:
    """One that does as it is told, as long as nobody meddles with what it ``told``."""

    def __init__(self) -> None:
        own = parse_address("198.51.100.2")
        neighbors = [Neighbor(address, own, 64601, 64501, frozenset({4})) for address in (A, B)]
        self.table = BirdTable(neighbors, reconcile_interval_s=RECONCILE_S)
        self.now = 0.0
        self.told: dict[object, object] = {}
        self.up = {A: "", B: ""}
        self.given = 0

    def begin(self) -> None:
        self.told.clear()
        self.table.speaker_started(self.now)

    def turn(self, *, obedient: bool = True) -> list[TableEvent]:
        """Give what is to be given, look if a look is due; what is said."""
        if (routes := self.table.routes_to_give()) is not None:
            self.given += 1
            if obedient:
                self.told = dict(routes)
            self.table.given(routes, self.now)
        self.table.sessions_seen(self.up)
        if self.table.is_look_due(self.now):
            told: Told = {key: value for key, value in self.told.items() if not self.up[key[0]]}  # type: ignore[index,misc]
            self.table.told_seen(
                told, {(address, 4) for address, down in self.up.items() if not down}, self.now
            )
        return self.events()

    def events(self) -> list[TableEvent]:
        found = []
        while (event := self.table.next_event()) is not None:
            found.append(event)
        return found

    def after(self, seconds: float, *, obedient: bool = True) -> list[TableEvent]:
        self.now += seconds
        return self.turn(obedient=obedient)


@pytest.fixture
def speaker() -> Speaker:
    speaker = Speaker()
    speaker.begin()
    speaker.table.announce(SERVICE)
    speaker.turn()
    return speaker


def test_a_wish_is_given_confirmed_and_seen() -> None:
    speaker = Speaker()
    assert speaker.table.announces_nothing
    speaker.begin()
    speaker.table.announce(SERVICE)
    assert not speaker.table.is_synchronized
    events = speaker.turn()
    told = {event.neighbor for event in events if isinstance(event, RouteAcknowledged)}
    assert told == {A, B}
    assert events[-1] == Synchronized()
    assert speaker.table.is_synchronized
    assert not speaker.table.announces_nothing
    assert {key[0] for key in speaker.table.routes_out} == {A, B}
    # And nothing is given again, nor said.
    assert speaker.after(RECONCILE_S) == []
    assert speaker.given == 1


def test_wishes_while_there_is_no_speaker_are_for_the_next_one(speaker: Speaker) -> None:
    speaker.table.speaker_lost()
    down = [event for event in speaker.events() if isinstance(event, NeighborChanged)]
    assert [(event.neighbor, event.is_up) for event in down] == [(A, False), (B, False)]
    assert speaker.table.announces_nothing
    speaker.table.withdraw(SERVICE.prefix)
    speaker.table.announce(SECOND)
    speaker.begin()
    speaker.turn()
    assert {key[1] for key in speaker.told} == {SECOND.prefix}  # type: ignore[index]


def test_withdrawn_is_certain_only_when_it_was_seen(speaker: Speaker) -> None:
    speaker.table.withdraw_all()
    assert not speaker.table.announces_nothing
    routes = speaker.table.routes_to_give()
    assert routes == {}
    speaker.table.given({}, speaker.now)
    assert not speaker.table.announces_nothing
    speaker.table.sessions_seen(speaker.up)
    speaker.table.told_seen({}, {(A, 4), (B, 4)}, speaker.now)
    assert speaker.table.announces_nothing


def test_a_difference_of_a_moment_is_none(speaker: Speaker) -> None:
    """A session that has just come up has been told nothing for an instant."""
    told = dict(speaker.told)
    speaker.told.clear()
    assert speaker.after(RECONCILE_S) == []
    speaker.told = told
    assert speaker.after(RETRY_S) == [Synchronized()]
    assert speaker.given == 1


def test_a_difference_that_stays_is_reported_and_repaired(speaker: Speaker) -> None:
    speaker.told.clear()
    assert speaker.after(RECONCILE_S) == []
    events = speaker.after(RETRY_S, obedient=False)
    assert set(events) == {Diverged(address, SERVICE.prefix, Divergence.MISSING) for address in (A, B)}
    # Given again, it obeys.
    assert speaker.after(RETRY_S) == [Synchronized()]
    assert speaker.given == 2
    assert speaker.table.is_synchronized


@pytest.mark.parametrize("divergence", list(Divergence))
def test_a_speaker_that_does_not_obey_is_given_up(speaker: Speaker, divergence: Divergence) -> None:
    key = (A, SERVICE.prefix)
    match divergence:
        case Divergence.MISSING:
            del speaker.told[key]
        case Divergence.UNEXPECTED:
            key = (A, parse_prefix("198.51.100.0/24"))
            speaker.told[key] = None
        case Divergence.DIFFERENT:
            speaker.told[key] = None
    events: list[TableEvent] = speaker.after(RECONCILE_S, obedient=False)
    for _ in range(GIVEN_UP_AT):
        events += speaker.after(RETRY_S, obedient=False)
        if isinstance(events[-1], SpeakerFailed):
            break
    assert events[0] == Diverged(*key, divergence)
    assert events[-1] == SpeakerFailed(f"{key[1]} to {A} stays {divergence.value}")


def test_a_withdrawal_that_has_no_effect_ends_the_speaker_soon(speaker: Speaker) -> None:
    speaker.table.withdraw_all()
    events = speaker.turn(obedient=False)
    began = speaker.now
    while not any(isinstance(event, SpeakerFailed) for event in events):
        events += speaker.after(RETRY_S, obedient=False)
        assert not speaker.table.announces_nothing
    assert speaker.now - began < 1.0


def test_sessions_that_are_down_are_not_waited_for(speaker: Speaker) -> None:
    speaker.up[B] = "Active  Socket: Connection refused"
    (down,) = speaker.after(0.2)
    assert down == NeighborChanged(B, is_up=False, reason="Active  Socket: Connection refused")
    speaker.table.announce(SECOND)
    assert speaker.turn()[-1] == Synchronized()
    speaker.up[B] = ""
    # It is looked at as soon as it is up, long before the next look would be due.
    del speaker.told[B, SECOND.prefix]
    assert speaker.after(0.2) == [NeighborChanged(B, is_up=True, reason="")]
    assert Diverged(B, SECOND.prefix, Divergence.MISSING) in speaker.after(RETRY_S)


def test_a_channel_that_the_neighbor_does_not_want_is_not_waited_for(speaker: Speaker) -> None:
    """Its session is up, but carries other families only: there is nothing to be repaired."""
    told = {key: value for key, value in speaker.told.items() if key[0] == A}  # type: ignore[index]
    for _ in range(2 * GIVEN_UP_AT):
        speaker.now += RECONCILE_S
        speaker.table.told_seen(told, {(A, 4)}, speaker.now)  # type: ignore[arg-type]
    assert speaker.events() == []
    assert speaker.table.is_synchronized


def test_a_route_that_nobody_can_hear_of_changes_nothing(speaker: Speaker) -> None:
    with pytest.raises(RouteError, match="no neighbor carries IPv6"):
        speaker.table.announce(Route.parse("2001:db8::/48"))
    assert speaker.table.is_synchronized
