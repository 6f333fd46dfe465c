"""What BIRD 2.0.12 prints, as it was captured, and what neighbors can make it print."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.bird_control import (
    Reply,
    ReplyReader,
    read_advertisement,
    read_bfd,
    read_path,
    read_routes,
    read_sessions,
)
from bgp.neighbor import Advertisement, Neighbor
from bgp.route import Community, LargeCommunity, parse_address

SESSIONS = b"""\
2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     06:33:56.518  \x20
1006-
1002-n0_ipv4_told Static     n0_ipv4    up     06:33:56.518  \x20
1006-  Channel ipv4
     Import updates:              9          0          0          0          9
1002-n0         BGP        ---        up     06:33:57.485  Established  \x20
1006-  BGP state:          Established
     Neighbor address: 198.51.100.1
   Channel ipv4
     State:          UP
     Import limit:   3 [HIT]
       Action:       block
     Routes:         3 imported, 2 exported, 0 preferred
     Route change stats:     received   rejected   filtered    ignored   accepted
       Import updates:              7          0          0          4          3
       Import withdraws:            1          0        ---          0          1
       Export updates:              2          0          0        ---          2
   Channel ipv6
     State:          DOWN
     Import limit:   3
       Import updates:              0          0          0          0          0
       Import withdraws:            0          0        ---          0          0
1006-
1002-n1         BGP        ---        start  06:34:57.485  Active        Socket: Connection refused
1006-  BGP state:          Active
   Channel ipv4
     State:          DOWN
0000\x20
"""

ROUTES = b"""\
1007-Table n0_ipv4:
 192.0.2.1/32         blackhole [n0_ipv4_told 06:33:56.518] * (200)
1008-\tType: static univ
1012-\tBGP.as_path: 64601 64601
 \tBGP.next_hop: 198.51.100.2
 \tBGP.community: (65535,0) (65535,65281)
 \tBGP.large_community: (64600, 1, 42)
 \t\t(64600, 2, 4294967295)
 \ttold_med: 4294967295
1007-                     unreachable [n0 2026-11-20 from 198.51.100.1] (100) [i]
1008-\tType: BGP univ
1012-\tBGP.origin: IGP
 \tBGP.as_path:\x20
 \tBGP.next_hop: 198.51.100.7
 \tBGP.local_pref: 100
 \tBGP.originator_id: 192.0.2.7
 \tBGP.cluster_list: 192.0.2.9
 \tBGP.community: (65535,65281)
0000\x20
"""
NEIGHBOR = Neighbor(
    parse_address("198.51.100.1"), parse_address("198.51.100.2"), 64601, 64501, frozenset({4})
)


def reply(text: bytes) -> Reply:
    found = ReplyReader(1 << 20).feed(text)
    assert found is not None
    return found


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_reply_comes_in_any_pieces(size: int) -> None:
    reader = ReplyReader(1 << 20)
    pieces = [SESSIONS[start : start + size] for start in range(0, len(SESSIONS), size)]
    replies = [reader.feed(piece) for piece in pieces]
    assert replies[:-1] == [None] * (len(pieces) - 1)
    assert replies[-1] == reply(SESSIONS)


def test_a_reply_without_end_is_cut() -> None:
    reader = ReplyReader(1000)
    line = b"1007-192.0.2.0/24 blackhole [x 1] (1)\n"
    fed = [reader.feed(line) for _ in range(1000 // len(line))]
    assert fed == [None] * len(fed)
    found = reader.feed(line)
    assert found is not None
    assert found.is_cut


def test_errors() -> None:
    assert reply(b"0002-Reading configuration from x\n8002 x:3:1 syntax error\n").is_error
    assert reply(b"8002 x:3:1 syntax error\n").last_words == "x:3:1 syntax error"
    assert not reply(b"0003 Reconfigured\n").is_error
    with pytest.raises(ValueError, match="HTTP"):
        reply(b"HTTP/1.1 200 OK\n")


def test_sessions() -> None:
    n0, n1 = read_sessions(reply(SESSIONS))
    assert (n0.name, n0.is_up, n0.routes) == ("n0", True, {"ipv4": 3})
    assert n0.received == {
        "ipv4": ("7", "0", "0", "4", "3", "1", "0", "---", "0", "1"),
        "ipv6": ("0", "0", "0", "0", "0", "0", "0", "---", "0", "0"),
    }
    assert n0.open == {"ipv4"}
    assert (n1.name, n1.is_up, n1.info, n1.open) == ("n1", False, "Active Socket: Connection refused", set())


def test_routes() -> None:
    ours, theirs = read_routes(reply(ROUTES))
    assert read_advertisement(ours, NEIGHBOR) == Advertisement(
        prefix=IPv4Network("192.0.2.1/32"),
        next_hop=IPv4Address("198.51.100.2"),
        as_path=(64601, 64601, 64601),
        med=4294967295,
        communities=frozenset({Community(65535, 0), Community(65535, 65281)}),
        large_communities=frozenset({LargeCommunity(64600, 1, 42), LargeCommunity(64600, 2, 4294967295)}),
    )
    # Not made of what ours are made of: reported, not overlooked.
    assert read_advertisement(theirs, NEIGHBOR) is None
    path = read_path(theirs)
    assert path is not None
    assert path.prefix == ours.prefix
    assert path.next_hop == IPv4Address("198.51.100.7")
    assert path.originator == IPv4Address("192.0.2.7")
    assert path.communities == {Community(65535, 65281)}


@pytest.mark.parametrize(
    "attribute",
    [
        b"BGP.as_path: 64501 {64502 64503}",
        b"BGP.as_path: 64501 ...",
        b"BGP.originator_id: here",
        b"BGP.next_hop: fe80::1%lo",
        b"BGP.next_hop:",
    ],
)
def test_a_path_that_cannot_be_believed(attribute: bytes) -> None:
    text = b"1007-192.0.2.1/32 unreachable [n0 06:33:56.518] * (100) [i]\n1012-\tBGP.next_hop: 198.51.100.7\n"
    (route,) = read_routes(reply(text + b" \t" + attribute + b"\n0000 \n"))
    assert read_path(route) is None


def test_two_next_hops_of_ipv6() -> None:
    text = b"1007-2001:db8::1/128       unreachable [n0 06:33:56.518 from 2001:db8::2] * (100) [i]\n"
    (route,) = read_routes(reply(text + b"1012-\tBGP.next_hop: 2001:db8::7 fe80::7\n0000 \n"))
    path = read_path(route)
    assert path is not None
    assert (path.prefix, path.next_hop) == (IPv6Network("2001:db8::1/128"), parse_address("2001:db8::7"))


def test_bfd() -> None:
    text = b"""\
1020-bfd1:
 IP address                Interface  State      Since         Interval  Timeout
 198.51.100.1              t1         Up         06:33:56.518    0.100    0.300
 2001:db8:1::1             t1         Down       06:33:56.518    1.000    0.000
\x20
0000\x20
"""
    assert read_bfd(reply(text)) == {NEIGHBOR.address: True, parse_address("2001:db8:1::1"): False}


@given(st.binary())
def test_nothing_raises_but_what_is_no_reply(data: bytes) -> None:
    try:
        found = ReplyReader(1 << 16).feed(data)
    except ValueError:
        return
    if found is not None:
        read_sessions(found)
        read_bfd(found)
