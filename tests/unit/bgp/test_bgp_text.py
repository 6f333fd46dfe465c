"""The speaker's line protocol. The verb of a command is found anywhere in the line, so this is about safety."""

import json
import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgp import bridge, text
from bgp.neighbor import Advertisement, Neighbor
from bgp.route import (
    SELF,
    Address,
    Community,
    LargeCommunity,
    Prefix,
    Route,
    RouteError,
    parse_address,
    parse_prefix,
)
from bgp.text import (
    Ack,
    AdjRibOutEntry,
    SessionChanged,
    SessionState,
    UnknownLine,
    UpdateReceived,
    UpdatesDropped,
)

# What ExaBGP 5.0.15 registers besides the words that are meant, and `debug`, which it looks for itself.
DANGEROUS = (
    "shutdown",
    "restart",
    "reload",
    "reset",
    "version",
    "crash",
    "teardown",
    "help",
    "clear",
    "flush",
    "silence-ack",
    "enable-ack",
    "disable-ack",
    "show",
    "debug",
    "operational",
    "eor",
    "flow",
    "vpls",
    "watchdog",
    "attribute",
    "#",
)

R4, R6 = IPv4Address("198.51.100.1"), IPv6Address("2001:db8:ffff::1")


def neighbor(**changes: object) -> Neighbor:
    values: dict[str, object] = {
        "address": R4,
        "local_address": IPv4Address("198.51.100.2"),
        "local_as": 64601,
        "peer_as": 64501,
        "versions": frozenset({4, 6}),
        "next_hop_v6": IPv6Address("2001:db8:ffff::2"),
    }
    return Neighbor(**(values | changes))  # type: ignore[arg-type]


def test_a_full_command() -> None:
    route = Route.parse(
        "192.0.2.1/32",
        med=50,
        prepend=2,
        communities=["no-export", "graceful-shutdown"],
        large_communities=["64600:1:42"],
    )
    assert text.announce(neighbor(), neighbor().advertisement(route)) == (
        "neighbor 198.51.100.1 announce route 192.0.2.1/32 next-hop 198.51.100.2 as-path [ 64601 64601 64601 ] "
        "med 50 community [ 65535:0 65535:65281 ] large-community [ 64600:1:42 ]"
    )


def test_commands_name_one_neighbor() -> None:
    """Without the address in front, a withdrawal towards one would reach them all."""
    assert text.withdraw(neighbor(), parse_prefix("2001:db8::/48")) == (
        "neighbor 198.51.100.1 withdraw route 2001:db8::/48"
    )


def test_an_internal_session_gets_no_path() -> None:
    internal = neighbor(peer_as=64601)
    command = text.announce(internal, internal.advertisement(Route.parse("192.0.2.0/24", med=0)))
    assert command == "neighbor 198.51.100.1 announce route 192.0.2.0/24 next-hop 198.51.100.2 med 0"


# --- whatever the input, only numbers and the words that are meant -----------------------------------------

words = st.sampled_from(DANGEROUS).map(lambda word: f" {word} ")
hostile = st.one_of(words, words.map(str.strip), st.text(max_size=20))
names = st.sampled_from(["graceful-shutdown", "no-export", "blackhole", "no-peer", "65535:0"])
communities = st.one_of(names, names, names, st.builds("{}:1{}".format, st.integers(-1, 65536), hostile))
prefixes = st.one_of(
    st.sampled_from(["192.0.2.1/32", "203.0.113.0/24", "2001:db8::/48", "2001:db8::1/128"]),
    st.builds("2001:db8::1%{}/128".format, hostile),
    hostile,
)
addresses = st.one_of(
    st.sampled_from(["198.51.100.1", "2001:db8:ffff::1"]),
    st.builds("2001:db8::1%{}".format, hostile),
    hostile,
)
large_communities = st.one_of(st.just("64600:1:42"), st.builds("64600:1:{}".format, hostile))
WORD = re.compile(
    r"[0-9a-f.:/]+|\[|\]|neighbor|announce|withdraw|route|next-hop|as-path|med|community|large-community"
)


@settings(max_examples=500)
@given(
    address=addresses,
    next_hop=st.one_of(st.just(SELF), addresses),
    prefix=prefixes,
    med=st.none() | st.integers(-1, 2**32),
    prepend=st.integers(-1, 11),
    standard=st.lists(communities, max_size=3),
    large=st.lists(large_communities, max_size=2),
    local_as=st.integers(1, 2**32),
)
def test_no_input_reaches_the_speaker_as_a_word(
    address: str,
    next_hop: object,
    prefix: str,
    med: int | None,
    prepend: int,
    standard: list[str],
    large: list[str],
    local_as: int,
) -> None:
    try:
        route = Route(
            parse_prefix(prefix),
            SELF if next_hop is SELF else parse_address(str(next_hop)),
            med,
            prepend,
            frozenset(map(Community.parse, standard)),
            frozenset(map(LargeCommunity.parse, large)),
        )
        peer = parse_address(address)
        session = Neighbor(peer, R4 if peer.version == 4 else R6, local_as, 64501, frozenset({4, 6}), R4, R6)
        commands = [
            text.announce(session, session.advertisement(route)),
            text.withdraw(session, route.prefix),
        ]
    except RouteError:
        return
    for command in commands:
        assert all(WORD.fullmatch(word) for word in command.split(" ")), command
        assert not any(word in command for word in DANGEROUS)


def test_objects_made_without_parsing_are_checked_too() -> None:
    """``ipaddress`` lets any text follow a percent sign; an address object is therefore no proof."""
    for make in (
        lambda: neighbor(address=IPv6Address("2001:db8::1% shutdown "), local_address=R6),
        lambda: Route(parse_prefix("2001:db8::/48"), next_hop=IPv6Address("2001:db8::1% shutdown ")),
    ):
        with pytest.raises(RouteError):
            make()


# --- what the speaker says ---------------------------------------------------------------------------------


def test_acknowledgements() -> None:
    assert text.parse_line("done") is Ack.DONE
    assert text.parse_line("error") is Ack.ERROR


# Lines of ExaBGP 5.0.15, with other addresses.
HEAD = (
    "neighbor 198.51.100.1 local-ip 198.51.100.2 local-as 64601 peer-as 64501 router-id 192.0.2.11 "
    "family-allowed in-open"
)


@pytest.mark.parametrize(
    "line, advertisement",
    [
        (
            (
                f"{HEAD} ipv4 unicast 192.0.2.1/32 next-hop 198.51.100.2 as-path ( 64601 64601 ) med 50 "
                "community [ 65535:0 no-export ] large-community [ 64600:1:42 64600:2:1 ]"
            ),
            Advertisement(
                parse_prefix("192.0.2.1/32"),
                IPv4Address("198.51.100.2"),
                (64601, 64601),
                50,
                frozenset({Community(65535, 0), Community(65535, 65281)}),
                frozenset({LargeCommunity(64600, 1, 42), LargeCommunity(64600, 2, 1)}),
            ),
        ),
        (
            (
                f"{HEAD} ipv6 unicast 2001:db8::1/128 next-hop 2001:db8::ffff as-path ( 64601 ) med 0 "
                "community 65535:0 large-community 64600:1:42"
            ),
            Advertisement(
                parse_prefix("2001:db8::1/128"),
                IPv6Address("2001:db8::ffff"),
                (64601,),
                0,
                frozenset({Community(65535, 0)}),
                frozenset({LargeCommunity(64600, 1, 42)}),
            ),
        ),
        (
            f"{HEAD} ipv4 unicast 203.0.113.0/24 next-hop 198.51.100.2",
            Advertisement(parse_prefix("203.0.113.0/24"), IPv4Address("198.51.100.2")),
        ),
        (f"{HEAD} ipv4 unicast 203.0.113.0/24 next-hop 198.51.100.2 local-preference 100", None),
        (f"{HEAD} ipv4 unicast 203.0.113.0/24 next-hop 198.51.100.2 med many", None),
    ],
)
def test_lines_of_the_adj_rib_out(line: str, advertisement: Advertisement | None) -> None:
    parsed = text.parse_line(line)
    assert isinstance(parsed, AdjRibOutEntry)
    assert parsed.neighbor == R4
    assert parsed.advertisement == advertisement


def state_event(**values: str) -> str:
    """As ExaBGP writes it, blanks before commas included."""
    extra = ", ".join(f'"{key}": "{value}"' for key, value in values.items())
    return (
        '{ "exabgp": "5.0.0", "time": 1795232034.33, "host" : "vm", "pid" : 10, "ppid" : 9, "counter": 1, '
        '"type": "state", "neighbor": { "address": { "local": "198.51.100.2", "peer": "198.51.100.1" }, '
        f'"asn": {{ "local": 64601, "peer": 64501 }}, "router-id": "192.0.2.11" , {extra} }} }}'
    )


def test_session_events() -> None:
    assert text.parse_line(state_event(state="up")) == SessionChanged(R4, SessionState.UP, "")
    assert text.parse_line(state_event(state="connected")) == SessionChanged(R4, SessionState.CONNECTED, "")
    down = text.parse_line(state_event(state="down", reason="peer reset, message [done]"))
    assert down == SessionChanged(R4, SessionState.DOWN, "peer reset, message [done]")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "done ",
        "shutdown in progress",
        "{",
        "{}",
        '{"type": "state"}',
        '{"type": "state", "neighbor": "?"}',
        '{"type": "notification", "notification": "shutdown"}',
        state_event(state="confused"),
        f"{HEAD} ipv4 flow 192.0.2.0/24",
        f"{HEAD} ipv4 unicast nonsense next-hop 198.51.100.2",
    ],
)
def test_anything_else_is_unknown_and_never_an_acknowledgement(line: str) -> None:
    assert text.parse_line(line) == UnknownLine(line)


def test_updates_come_with_whose_they_are() -> None:
    message = {"eor": {"afi": "ipv4", "safi": "unicast"}}
    line = state_event(direction="receive", message="?").replace('"?"', json.dumps(message))
    assert text.parse_line(line.replace('"state"', '"update"')) == UpdateReceived(R4, message)


def test_the_mark_of_updates_that_were_thrown_away() -> None:
    """The bridge makes it, and may import nothing from here."""
    assert text.parse_line((bridge._DROPPED % b"198.51.100.1").decode().rstrip("\n")) == UpdatesDropped(R4)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"type":' * 100_000,
        '{"type": "update", "neighbor": ' + "9" * 10_000 + "}",
        '{"type": ["update"], "neighbor": NaN}',
        '{"type": "update", "neighbor": {"address": {"peer": ["198.51.100.1"]}, "direction": "receive"}}',
        '{"type": "update", "neighbor": {"address": {"peer": 5}, "direction": "receive", "message": {}}}',
        '{"type": "update", "neighbor": {"address": {"peer": "198.51.100.1"}, "direction": "send", "message": 1}}',
        '{"type": "dropped"}',
        '{"type": {"update": 1}, "neighbor": {"address": {"peer": "198.51.100.1"}}}',
    ],
)
def test_events_that_cannot_be(line: str) -> None:
    assert text.parse_line(line) == UnknownLine(line)


@given(st.text())
def test_no_line_raises(line: str) -> None:
    text.parse_line(line)
    text.parse_line("{" + line)


@given(
    prefix=st.sampled_from([parse_prefix("192.0.2.1/32"), parse_prefix("203.0.113.0/24")]),
    path=st.lists(st.integers(1, 2**32 - 2), max_size=4).map(tuple),
    med=st.none() | st.integers(0, 2**32 - 1),
    standard=st.frozensets(st.builds(Community, *[st.integers(0, 65535)] * 2), max_size=3),
    large=st.frozensets(st.builds(LargeCommunity, *[st.integers(0, 2**32 - 1)] * 3), max_size=3),
)
def test_what_was_commanded_is_recognised_in_the_answer(
    prefix: Prefix,
    path: tuple[int, ...],
    med: int | None,
    standard: frozenset[Community],
    large: frozenset[LargeCommunity],
) -> None:
    """A difference that is only in the spelling would be repaired for ever."""
    next_hop: Address = IPv4Address("198.51.100.2")
    wanted = Advertisement(prefix, next_hop, path, med, standard, large)
    assert text.parse_line(as_shown(wanted)) == AdjRibOutEntry(R4, prefix, wanted)


def as_shown(advertisement: Advertisement) -> str:
    """How ExaBGP prints a route: an AS sequence in round brackets, a list of one in none, some names."""
    line = f"{HEAD} ipv4 unicast {advertisement.prefix} next-hop {advertisement.next_hop}"
    if advertisement.as_path:
        line += f" as-path ( {' '.join(map(str, advertisement.as_path))} )"
    if advertisement.med is not None:
        line += f" med {advertisement.med}"
    names = {"65535:65281": "no-export", "65535:666": "blackhole"}
    for name, values in (
        ("community", [names.get(str(value), str(value)) for value in sorted(advertisement.communities)]),
        ("large-community", list(map(str, sorted(advertisement.large_communities)))),
    ):
        if values:
            line += f" {name} {values[0] if len(values) == 1 else '[ ' + ' '.join(values) + ' ]'}"
    return line
