"""One look after the other at what a neighbor has told, and what that means. Virtual time throughout."""

from ipaddress import IPv4Address

import pytest

from bgp.bird_control import Reply
from bgp.bird_heard import LOOK_INTERVAL_S, MANY_PATHS, QUIET_S, HeardChannel, read_paths
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost, ReceivedEvent

NEIGHBOR = IPv4Address("198.51.100.1")
OWN = "192.0.2.1/32"


def reply(*routes: tuple[str, str, str, str]) -> Reply:
    """Prefix, originator, next hop, large community of each."""
    lines: list[tuple[int, str]] = []
    for prefix, originator, next_hop, load in routes:
        lines += [
            (1007, f"{prefix:20} unreachable [n0 06:33:56.518 from 198.51.100.1] (100) [i]"),
            (1012, f"\tBGP.next_hop: {next_hop}"),
            (1012, f"\tBGP.originator_id: {originator}"),
            (1012, f"\tBGP.large_community: {load}"),
        ]
    return Reply((*lines, (0, "")))


class Listener:
    """A channel, looked at whenever that is due."""

    def __init__(self) -> None:
        self.channel = HeardChannel(NEIGHBOR, 4)
        self.now = 0.0
        self.count = 0

    def tells(self, *routes: tuple[str, str, str, str]) -> list[ReceivedEvent]:
        """The neighbor has changed its mind, and now stands by these."""
        self.count += 1
        events = self.passes(LOOK_INTERVAL_S, look=False)
        assert self.channel.is_look_due(self.now)
        return events + list(self.channel.seen(self.channel.count, read_paths(reply(*routes)), self.now))

    def passes(self, seconds: float, *, look: bool = True) -> list[ReceivedEvent]:
        self.now += seconds
        events = list(self.channel.counted((str(self.count),), self.now))
        assert not look or not self.channel.is_look_due(self.now)
        return events


@pytest.fixture
def listener() -> Listener:
    return Listener()


FIRST = (OWN, "192.0.2.7", "198.51.100.7", "(64600, 3, 1)")
SECOND = (OWN, "192.0.2.8", "198.51.100.8", "(64600, 3, 2)")


def test_paths_of_one_prefix_keep_their_numbers(listener: Listener) -> None:
    first, second = listener.tells(FIRST, SECOND)
    assert isinstance(first, PathHeard)
    assert isinstance(second, PathHeard)
    assert first.path.path_id != second.path.path_id
    # In the other order, one with another load: only that one is news, under its number.
    (changed,) = listener.tells((*SECOND[:3], "(64600, 3, 9)"), FIRST)
    assert isinstance(changed, PathHeard)
    assert changed.path.path_id == second.path.path_id
    assert listener.tells(FIRST) == [PathLost(NEIGHBOR, second.path.prefix, second.path.path_id)]
    # A number that was given is not given again.
    (again,) = listener.tells(FIRST, SECOND)
    assert isinstance(again, PathHeard)
    assert again.path.path_id not in {first.path.path_id, second.path.path_id}


def test_the_same_path_by_two_ways_is_two(listener: Listener) -> None:
    events = listener.tells(FIRST, FIRST)
    ids = {event.path.path_id for event in events if isinstance(event, PathHeard)}
    assert len(ids) == 2
    (lost,) = listener.tells(FIRST)
    assert isinstance(lost, PathLost)
    assert lost.path_id in ids


def test_what_cannot_be_believed_any_more_is_lost(listener: Listener) -> None:
    listener.tells(FIRST)
    (lost,) = listener.tells((OWN, "nobody", "198.51.100.7", "(64600, 3, 1)"))
    assert isinstance(lost, PathLost)


def test_the_end_of_the_beginning_is_a_time_without_news(listener: Listener) -> None:
    listener.tells(FIRST)
    assert listener.passes(QUIET_S / 2) == []
    listener.tells(FIRST, SECOND)
    assert listener.passes(QUIET_S / 2) == []
    assert listener.passes(QUIET_S / 2) == [EndOfRib(NEIGHBOR, 4)]
    assert listener.passes(QUIET_S) == []


def test_a_neighbor_with_nothing_to_tell_also_ends(listener: Listener) -> None:
    listener.tells()
    assert listener.passes(QUIET_S) == [EndOfRib(NEIGHBOR, 4)]


def test_a_channel_that_is_not_open_does_not_end(listener: Listener) -> None:
    for _ in range(3):
        listener.now += QUIET_S
        assert list(listener.channel.counted((), listener.now)) == []


def test_what_comes_during_a_look_is_looked_at_again(listener: Listener) -> None:
    listener.tells(FIRST)
    count = listener.channel.count
    listener.count += 1
    list(listener.channel.counted((str(listener.count),), listener.now))
    list(listener.channel.seen(count, read_paths(reply(FIRST)), listener.now))
    listener.now += LOOK_INTERVAL_S
    assert listener.channel.is_look_due(listener.now)


def test_large_tables_are_looked_at_more_seldom(listener: Listener) -> None:
    def due_after(paths: int) -> float:
        routes = [(f"10.0.{number >> 8}.{number & 255}/32", *FIRST[1:]) for number in range(paths)]
        listener.tells(*routes)
        return listener.channel.look_due - listener.now

    assert due_after(10) == pytest.approx(LOOK_INTERVAL_S * 10 / MANY_PATHS)
    assert due_after(2 * MANY_PATHS) == LOOK_INTERVAL_S


def test_one_that_floods_is_not_looked_at_again(listener: Listener) -> None:
    listener.tells(FIRST)
    assert list(listener.channel.flooded("too much")) == [Flooded(NEIGHBOR, "too much")]
    assert list(listener.channel.flooded("too much")) == []
    listener.count += 1
    assert listener.passes(10 * QUIET_S) == []
    assert listener.channel.paths == {}
