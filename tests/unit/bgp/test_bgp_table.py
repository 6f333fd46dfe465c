"""The exchange with the speaker, command by command. That it always converges is shown in tests/model."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from bgp.neighbor import Advertisement, Neighbor, Role
from bgp.received import Flooded, Path, PathHeard
from bgp.route import Route, RouteError, parse_prefix
from bgp.table import (
    Diverged,
    Divergence,
    LineIgnored,
    NeighborChanged,
    RouteAcknowledged,
    RouteRejected,
    RouteTable,
    SpeakerFailed,
    Synchronized,
    TableEvent,
)
from bgp.text import SHOW_ADJ_RIB_OUT

R1, R2 = IPv4Address("198.51.100.1"), IPv4Address("198.51.100.3")
SERVICE = Route.parse("192.0.2.1/32")
ANNOUNCE = "neighbor {} announce route 192.0.2.1/32 next-hop 198.51.100.2 as-path [ 64601 ]"
WITHDRAW = "neighbor {} withdraw route 192.0.2.1/32"
SHOWN = (
    "neighbor {} local-ip 198.51.100.2 local-as 64601 peer-as 64501 router-id 192.0.2.9 family-allowed in-open "
    "ipv4 unicast 192.0.2.1/32 next-hop 198.51.100.2 as-path ( 64601 )"
)
INTERVAL = 10.0
TIMEOUT = 3.0


def table(*addresses: IPv4Address) -> RouteTable:
    sessions = [
        Neighbor(address, IPv4Address("198.51.100.2"), 64601, 64501, frozenset({4})) for address in addresses
    ]
    return RouteTable(sessions, command_timeout_s=TIMEOUT, reconcile_interval_s=INTERVAL)


def events(subject: RouteTable) -> list[TableEvent]:
    found = []
    while (event := subject.next_event()) is not None:
        found.append(event)
    return found


def answer(subject: RouteTable, now: float, *lines: str) -> list[str]:
    """Hear ``lines``, return the next commands."""
    for line in lines:
        subject.receive_line(line, now)
    return subject.commands_to_send(now)


def started(*addresses: IPv4Address) -> RouteTable:
    subject = table(*addresses)
    subject.announce(SERVICE)
    subject.speaker_started(0.0)
    return subject


def synchronized(*addresses: IPv4Address) -> RouteTable:
    """A table that has announced ``SERVICE`` at time 0 and has seen that it stands."""
    subject = started(*addresses)
    for address in addresses:
        assert subject.commands_to_send(0.0) == [ANNOUNCE.format(address)]
        subject.receive_line("done", 0.0)
    assert subject.commands_to_send(0.0) == [SHOW_ADJ_RIB_OUT]
    assert answer(subject, 0.0, *map(SHOWN.format, addresses), "done") == []
    assert Synchronized() in events(subject)
    return subject


def test_one_command_at_a_time_then_a_look() -> None:
    subject = started(R1, R2)
    assert subject.commands_to_send(0.0) == [ANNOUNCE.format(R1)]
    assert subject.commands_to_send(0.0) == []
    assert answer(subject, 0.1, "done") == [ANNOUNCE.format(R2)]
    assert answer(subject, 0.2, "done") == [SHOW_ADJ_RIB_OUT]
    assert not subject.is_synchronized
    assert answer(subject, 0.3, SHOWN.format(R1), SHOWN.format(R2), "done") == []
    assert subject.is_synchronized
    assert [type(event) for event in events(subject)] == [RouteAcknowledged, RouteAcknowledged, Synchronized]


def test_nothing_is_sent_before_there_is_a_speaker() -> None:
    subject = table(R1)
    subject.announce(SERVICE)
    assert subject.commands_to_send(0.0) == []
    assert subject.get_timer() is None
    assert subject.announces_nothing


def test_withdrawals_go_before_announcements() -> None:
    subject = synchronized(R1)
    subject.announce(Route.parse("203.0.113.0/24"))
    subject.withdraw(SERVICE.prefix)
    assert subject.commands_to_send(1.0) == [WITHDRAW.format(R1)]


def test_an_acknowledged_withdrawal_is_not_yet_a_withdrawal() -> None:
    """Wait for the adj-RIB-out: `done` only says that the line was understood."""
    subject = synchronized(R1)
    subject.withdraw_all()
    assert subject.commands_to_send(1.0) == [WITHDRAW.format(R1)]
    assert answer(subject, 1.0, "done") == [SHOW_ADJ_RIB_OUT]
    assert not subject.announces_nothing
    answer(subject, 1.0, "done")
    assert subject.announces_nothing


def test_the_same_wish_again_is_no_change() -> None:
    subject = synchronized(R1)
    subject.announce(SERVICE)
    assert subject.is_synchronized
    assert subject.commands_to_send(1.0) == []


def test_other_attributes_replace_without_a_withdrawal() -> None:
    subject = synchronized(R1)
    subject.announce(Route.parse("192.0.2.1/32", communities=["graceful-shutdown"]))
    assert subject.commands_to_send(1.0) == [f"{ANNOUNCE.format(R1)} community [ 65535:0 ]"]


def test_it_looks_again_every_interval() -> None:
    subject = synchronized(R1)
    assert subject.get_timer() == INTERVAL
    assert subject.commands_to_send(INTERVAL - 0.1) == []
    assert subject.commands_to_send(INTERVAL) == [SHOW_ADJ_RIB_OUT]


def test_a_missing_route_is_announced_again() -> None:
    subject = synchronized(R1)
    subject.commands_to_send(INTERVAL)
    assert answer(subject, INTERVAL, "done") == [ANNOUNCE.format(R1)]
    assert events(subject) == [Diverged(R1, SERVICE.prefix, Divergence.MISSING)]
    assert not subject.is_synchronized
    # Whether that helped is looked at with the next interval, so that a lost cause costs no more than that.
    assert answer(subject, INTERVAL, "done") == []


def test_a_route_nobody_asked_for_is_withdrawn() -> None:
    subject = synchronized(R1)
    subject.commands_to_send(INTERVAL)
    intruder = SHOWN.format(R1).replace("192.0.2.1/32", "203.0.113.0/24")
    command = answer(subject, INTERVAL, SHOWN.format(R1), intruder, "done")
    assert command == ["neighbor 198.51.100.1 withdraw route 203.0.113.0/24"]
    assert events(subject) == [Diverged(R1, parse_prefix("203.0.113.0/24"), Divergence.UNEXPECTED)]


def test_a_route_with_foreign_attributes_is_replaced() -> None:
    subject = synchronized(R1)
    subject.commands_to_send(INTERVAL)
    assert answer(subject, INTERVAL, f"{SHOWN.format(R1)} local-preference 7", "done") == [
        ANNOUNCE.format(R1)
    ]
    assert events(subject) == [Diverged(R1, SERVICE.prefix, Divergence.DIFFERENT)]


def test_a_route_that_outlives_its_withdrawal_ends_the_speaker() -> None:
    subject = synchronized(R1)
    subject.withdraw_all()
    subject.commands_to_send(1.0)
    assert answer(subject, 1.0, "done") == [SHOW_ADJ_RIB_OUT]
    assert answer(subject, 1.0, SHOWN.format(R1), "done") == [WITHDRAW.format(R1)]
    assert answer(subject, 1.0, "done") == [SHOW_ADJ_RIB_OUT]
    assert answer(subject, 1.0, SHOWN.format(R1), "done") == []
    assert isinstance(events(subject)[-1], SpeakerFailed)
    assert not subject.announces_nothing


def test_a_refused_withdrawal_ends_the_speaker_too() -> None:
    subject = synchronized(R1)
    subject.withdraw_all()
    subject.commands_to_send(1.0)
    for _ in range(2):
        assert answer(subject, 1.0, "error") == [SHOW_ADJ_RIB_OUT]
        answer(subject, 1.0, SHOWN.format(R1), "done")
    assert isinstance(events(subject)[-1], SpeakerFailed)


def test_a_wish_that_changes_while_the_answer_is_on_its_way_is_no_lingering_route() -> None:
    subject = synchronized(R1)
    assert subject.commands_to_send(INTERVAL) == [SHOW_ADJ_RIB_OUT]
    subject.withdraw_all()
    assert answer(subject, INTERVAL, SHOWN.format(R1), "done") == [WITHDRAW.format(R1)]
    subject.announce(SERVICE)
    assert answer(subject, INTERVAL, "done") == [ANNOUNCE.format(R1)]
    assert answer(subject, INTERVAL, "done") == [SHOW_ADJ_RIB_OUT]
    subject.withdraw_all()
    assert answer(subject, INTERVAL, SHOWN.format(R1), "done") == [WITHDRAW.format(R1)]
    assert not any(isinstance(event, SpeakerFailed) for event in events(subject))


def test_a_refused_announcement_is_tried_again_with_the_next_look_and_not_before() -> None:
    subject = started(R1)
    subject.commands_to_send(0.0)
    assert answer(subject, 0.0, "error") == [SHOW_ADJ_RIB_OUT]
    assert [type(event) for event in events(subject)] == [RouteRejected]
    assert answer(subject, 0.0, "done") == [ANNOUNCE.format(R1)]
    assert answer(subject, 0.0, "error") == []
    assert subject.commands_to_send(INTERVAL - 0.1) == []
    assert subject.commands_to_send(INTERVAL) == [SHOW_ADJ_RIB_OUT]


def test_silence_ends_this_life_and_the_next_one_hears_everything_again() -> None:
    subject = started(R1)
    subject.commands_to_send(0.0)
    assert subject.get_timer() == TIMEOUT
    subject.handle_timer(TIMEOUT - 0.1)
    assert events(subject) == []
    subject.handle_timer(TIMEOUT)
    (failed,) = events(subject)
    assert isinstance(failed, SpeakerFailed)
    # The late answer must not be taken for that of another command.
    assert answer(subject, TIMEOUT, "done") == []
    assert events(subject) == []
    # Its routes may stand until it is really gone.
    assert not subject.announces_nothing
    subject.speaker_lost()
    assert subject.announces_nothing
    subject.speaker_started(TIMEOUT)
    assert subject.commands_to_send(TIMEOUT) == [ANNOUNCE.format(R1)]


def test_a_speaker_that_will_not_show_its_table_cannot_be_trusted() -> None:
    subject = started(R1)
    subject.commands_to_send(0.0)
    assert answer(subject, 0.0, "done") == [SHOW_ADJ_RIB_OUT]
    assert answer(subject, 0.0, "error") == []
    assert events(subject)[-1] == SpeakerFailed(f"refused: {SHOW_ADJ_RIB_OUT}")


def state(state_name: str) -> str:
    return (
        '{"type": "state", "neighbor": {"address": {"peer": "198.51.100.1"}, '
        f'"state": "{state_name}", "reason": "why"}}}}'
    )


def test_sessions_come_and_go_between_command_and_answer() -> None:
    subject = started(R1)
    subject.commands_to_send(0.0)
    assert answer(subject, 0.0, state("connected"), state("up"), state("up")) == []
    assert events(subject) == [NeighborChanged(R1, True, "why")]
    assert subject.sessions_up == {R1}
    assert answer(subject, 0.0, "done") == [SHOW_ADJ_RIB_OUT]
    subject.receive_line(state("down"), 0.0)
    assert subject.sessions_up == set()


def test_sessions_end_with_the_speaker() -> None:
    subject = started(R1)
    subject.receive_line(state("up"), 0.0)
    subject.speaker_lost()
    assert subject.sessions_up == set()
    assert [event.is_up for event in events(subject) if isinstance(event, NeighborChanged)] == [True, False]


def update(announced: str) -> str:
    attributes = '{"origin": "igp"}'
    return (
        '{"type": "update", "neighbor": {"address": {"peer": "198.51.100.1"}, "direction": "receive", '
        f'"message": {{"update": {{"attribute": {attributes}, "announce": {{"ipv4 unicast": '
        f'{{"198.51.100.33": [{announced}]}}}}}}}}}}}}'
    )


def test_what_the_fleet_says_is_heard_between_command_and_answer() -> None:
    own = IPv4Address("198.51.100.2")
    peer = Neighbor(R1, own, 64601, 64601, frozenset({4}), role=Role.FLEET, max_routes=1)
    subject = RouteTable([peer], command_timeout_s=TIMEOUT, reconcile_interval_s=INTERVAL)
    subject.announce(SERVICE)
    subject.speaker_started(0.0)
    (command,) = subject.commands_to_send(0.0)
    assert command.endswith("next-hop 198.51.100.2 community [ 65535:65281 ]")
    path = '{"nlri": "192.0.2.33/32", "path-information": "0.0.0.4"}'
    # Before its session is up there is nobody who could say it.
    subject.receive_line(update(path), 0.0)
    assert events(subject) == []
    assert answer(subject, 0.0, state("up"), update(path)) == []
    (_, heard) = events(subject)
    assert heard == PathHeard(R1, Path(parse_prefix("192.0.2.33/32"), 4, IPv4Address("198.51.100.33")))
    subject.receive_line(update('{"nlri": "192.0.2.34/32"}'), 0.0)
    assert events(subject) == [Flooded(R1, "more than 1 routes")]
    # With the speaker its sessions are gone, and what was said on them.
    subject.speaker_lost()
    subject.speaker_started(1.0)
    subject.receive_line(update(path), 1.0)
    assert [type(event) for event in events(subject)] == [NeighborChanged]
    subject.receive_line(state("up"), 1.0)
    subject.receive_line(update(path), 1.0)
    assert events(subject)[1:] == [heard]


def test_lines_without_meaning_are_reported_and_change_nothing() -> None:
    subject = synchronized(R1)
    for line in ("done", "shutdown in progress", SHOWN.format(R1), '{"type": "update"}'):
        subject.receive_line(line, 1.0)
    assert all(isinstance(event, LineIgnored) for event in events(subject))
    assert subject.is_synchronized


def test_each_session_hears_of_its_family_only() -> None:
    v6 = Neighbor(IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:1::2"), 64601, 64501, frozenset({6}))
    v4 = Neighbor(R1, IPv4Address("198.51.100.2"), 64601, 64501, frozenset({4}))
    subject = RouteTable([v4, v6], command_timeout_s=TIMEOUT, reconcile_interval_s=INTERVAL)
    subject.announce(SERVICE)
    subject.announce(Route.parse("2001:db8::1/128"))
    subject.speaker_started(0.0)
    assert subject.commands_to_send(0.0) == [ANNOUNCE.format(R1)]
    assert answer(subject, 0.0, "done") == [
        "neighbor 2001:db8:1::1 announce route 2001:db8::1/128 next-hop 2001:db8:1::2 as-path [ 64601 ]"
    ]
    assert answer(subject, 0.0, "done") == [SHOW_ADJ_RIB_OUT]


def test_a_route_that_nobody_would_hear_is_an_error_and_changes_nothing() -> None:
    subject = synchronized(R1)
    with pytest.raises(RouteError, match="no neighbor carries IPv6"):
        subject.announce(Route.parse("2001:db8::/48"))
    assert subject.is_synchronized
    assert subject.commands_to_send(1.0) == []


def test_a_route_that_cannot_be_said_to_one_changes_nothing_for_any() -> None:
    plain = Neighbor(R1, IPv4Address("198.51.100.2"), 64601, 64501, frozenset({4}))
    mute = Neighbor(
        IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:1::2"), 64601, 64501, frozenset({4, 6})
    )
    subject = RouteTable([plain, mute], command_timeout_s=TIMEOUT, reconcile_interval_s=INTERVAL)
    subject.speaker_started(0.0)
    with pytest.raises(RouteError, match="next_hop_v4"):
        subject.announce(SERVICE)
    assert subject.commands_to_send(0.0) == [SHOW_ADJ_RIB_OUT]


def test_the_routes_that_were_last_seen_out() -> None:
    subject = synchronized(R1)
    told = Advertisement(SERVICE.prefix, IPv4Address("198.51.100.2"), (64601,))
    assert subject.routes_out == {(R1, SERVICE.prefix): told}
    subject.withdraw_all()
    subject.commands_to_send(1.0)
    assert answer(subject, 1.0, "done") == [SHOW_ADJ_RIB_OUT]
    # Acknowledged is not seen.
    assert subject.routes_out == {(R1, SERVICE.prefix): told}
    answer(subject, 1.0, SHOWN.format(R1) + " local-preference 7", "done")
    assert subject.routes_out == {(R1, SERVICE.prefix): None}
    subject.speaker_lost()
    assert subject.routes_out == {}
