"""What becomes of the speaker's JSON about updates. Who wrote what is in it is nobody we know."""

import copy
import json
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import updates
from bgp.received import EndOfRib, Path, PathHeard, PathLost
from bgp.route import NO_EXPORT, Community, LargeCommunity
from bgp.text import UpdateReceived, parse_line

PEER = IPv4Address("198.51.100.21")
NODE = IPv4Address("198.51.100.33")

# Said by ExaBGP 5.0.15 of what a BIRD and a hand-made peer told it; only addresses are others.
HEAD = (
    '{ "exabgp": "5.0.0", "time": 1795242578.1660, "host" : "vm", "pid" : 10, "ppid" : 9, "counter": 5, '
    '"type": "update", "neighbor": { "address": { "local": "198.51.100.2", "peer": "198.51.100.21" }, '
    '"asn": { "local": 64600, "peer": 64600 }, "router-id": "192.0.2.2" , "direction": "receive", '
)
REFLECTED = (
    f'{HEAD}"message": {{ "update": {{ "attribute": {{ "origin": "igp", "local-preference": 100, "community": '
    '[ [ 65535, 65281 ] ], "originator-id": "192.0.2.33", "cluster-list": [ "192.0.2.21", "192.0.2.22" ], '
    '"large-community": [ [ 64600, 1 , 1 ], [ 64600, 3 , 4294967295 ] ] }, "announce": { "ipv4 unicast": '
    '{ "198.51.100.33": [ { "nlri": "198.51.100.33/32", "path-information": "0.0.1.7" }, '
    '{ "nlri": "192.0.2.1/32", "path-information": "0.0.0.0" } ] } } } } } }'
)
WITH_A_PATH = (
    f'{HEAD}"message": {{ "update": {{ "attribute": {{ "origin": "igp", "as-path": {{"0": {{"element": '
    '"as-sequence", "value": [64601, 4200000000]}}, "attribute-0xC8-0xE0": "0x616263" }, "announce": '
    '{ "ipv6 unicast": { "2001:db8::33": [ { "nlri": "2001:db8::1/128" } ] } } } } } }'
)
BOTH = (
    f'{HEAD}"message": {{ "update": {{ "attribute": {{ "origin": "igp", "local-preference": 100 }}, "announce": '
    '{ "ipv4 unicast": { "198.51.100.33": [ { "nlri": "192.0.2.1/32", "path-information": "0.0.0.4" } ] } }, '
    '"withdraw": { "ipv4 unicast": [ { "nlri": "192.0.2.1/32", "path-information": "0.0.0.3" } ] } } } } }'
)
END = f'{HEAD}"message": {{ "eor": {{ "afi" : "ipv6", "safi" : "unicast" }} }} }} }}'

CONTROL_PATH = Path(
    ip_network("198.51.100.33/32"),
    0x107,
    NODE,
    (),
    frozenset({NO_EXPORT}),
    frozenset({LargeCommunity(64600, 1, 1), LargeCommunity(64600, 3, 2**32 - 1)}),
    IPv4Address("192.0.2.33"),
)


def read_line(line: str) -> list[Any]:
    update = parse_line(line)
    assert isinstance(update, UpdateReceived)
    return list(updates.read(update.neighbor, update.message))


def test_paths_by_way_of_a_reflector() -> None:
    control, service = read_line(REFLECTED)
    assert control == PathHeard(PEER, CONTROL_PATH)
    assert (service.path.prefix, service.path.path_id) == (ip_network("192.0.2.1/32"), 0)
    assert service.path.large_communities == CONTROL_PATH.large_communities


def test_a_path_without_an_identifier_and_with_an_attribute_nobody_asks_for() -> None:
    path = Path(ip_network("2001:db8::1/128"), 0, IPv6Address("2001:db8::33"), (64601, 4200000000))
    assert read_line(WITH_A_PATH) == [PathHeard(PEER, path)]


def test_what_is_withdrawn_is_withdrawn_first() -> None:
    lost, heard = read_line(BOTH)
    assert lost == PathLost(PEER, ip_network("192.0.2.1/32"), 3)
    assert (heard.path.prefix, heard.path.path_id) == (ip_network("192.0.2.1/32"), 4)


def test_the_end_of_the_rib() -> None:
    assert read_line(END) == [EndOfRib(PEER, 6)]


def message(**attributes: object) -> dict[str, Any]:
    announced = {"198.51.100.33": [{"nlri": "192.0.2.1/32", "path-information": "0.0.0.4"}]}
    return {"update": {"attribute": {"origin": "igp", **attributes}, "announce": {"ipv4 unicast": announced}}}


def test_bits_behind_the_length_of_a_prefix_have_no_meaning() -> None:
    """Taken for something else, a withdrawal would not match its announcement."""
    told = message()
    told["update"]["announce"]["ipv4 unicast"]["198.51.100.33"][0]["nlri"] = "192.0.2.255/25"
    (heard,) = updates.read(PEER, told)
    assert heard.path.prefix == ip_network("192.0.2.128/25")


@pytest.mark.parametrize(
    "attributes",
    [
        {"community": [[65536, 0]]},
        {"community": [[0, -1]]},
        {"community": [[True, False]]},
        {"community": [[1.0, 2.0]]},
        {"community": [["65535", "0"]]},
        {"community": [[1, 2], [3]]},
        {"community": [[1, number] for number in range(33)]},
        {"community": "65535:0"},
        {"community": None},
        {"large-community": [[64600, 3, 2**32]]},
        {"large-community": [[64600, 3, float("nan")]]},
        {"large-community": [[64600, 3, 10**4000]]},
        {"large-community": [[64600, 3]]},
        {"as-path": {"0": {"element": "as-set", "value": [1]}}},
        {
            "as-path": {
                "0": {"element": "as-sequence", "value": [1]},
                "1": {"element": "as-set", "value": [2]},
            }
        },
        {"as-path": {"0": {"element": "as-sequence", "value": [2**32]}}},
        {"as-path": {"0": {"element": "as-sequence", "value": list(range(33))}}},
        {"as-path": [64601]},
        {"originator-id": "192.0.2.333"},
        {"originator-id": 7},
        {"originator-id": "2001:db8::1"},
        {"origin": "invalid"},
        {"origin": ["igp"]},
    ],
)
def test_a_path_with_one_attribute_that_cannot_be_is_withdrawn(attributes: dict[str, object]) -> None:
    """It would otherwise keep what it said before, or be half believed."""
    assert list(updates.read(PEER, message(**attributes))) == [PathLost(PEER, ip_network("192.0.2.1/32"), 4)]


@pytest.mark.parametrize(
    "next_hop",
    ["no-nexthop", "null", "", "0.0.0.0", "255.255.255.255", "224.0.0.1", "2001:db8::1", "::1%done"],
)
def test_a_path_to_nowhere_is_withdrawn(next_hop: str) -> None:
    told = message()
    announced = told["update"]["announce"]["ipv4 unicast"]
    announced[next_hop] = announced.pop("198.51.100.33")
    assert list(updates.read(PEER, told)) == [PathLost(PEER, ip_network("192.0.2.1/32"), 4)]


@pytest.mark.parametrize(
    "entry",
    [
        {"nlri": "192.0.2.1/33", "path-information": "0.0.0.4"},
        {"nlri": "192.0.2.1/32", "path-information": "0.0.0.256"},
        {"nlri": "192.0.2.1/32", "path-information": 4},
        {"nlri": "2001:db8::1/128", "path-information": "0.0.0.4"},
        {"nlri": 5},
        {"nlri": None},
        {},
        "192.0.2.1/32",
        None,
    ],
)
def test_what_names_no_path_is_passed_over(entry: object) -> None:
    told = message()
    told["update"]["announce"]["ipv4 unicast"]["198.51.100.33"].insert(0, entry)
    told["update"]["withdraw"] = {"ipv4 unicast": [entry], "ipv4 flow": [entry], "ipv6 unicast": entry}
    (heard,) = updates.read(PEER, told)
    assert heard.path.path_id == 4


# --- whatever it is ----------------------------------------------------------------------------------------

words = st.one_of(
    st.sampled_from(
        [
            *("update", "attribute", "announce", "withdraw", "eor", "afi", "safi", "ipv4", "unicast"),
            *("ipv4 unicast", "ipv6 unicast", "nlri", "path-information", "0.0.0.1", "192.0.2.1/32"),
            *("community", "large-community", "as-path", "0", "element", "value", "as-sequence", "origin"),
            *("originator-id", "198.51.100.33", "2001:db8::/32", "igp"),
        ]
    ),
    st.text(max_size=8),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)
real = st.sampled_from(
    [json.loads(line)["neighbor"]["message"] for line in (REFLECTED, WITH_A_PATH, BOTH, END)]
)


def assert_sound(message: object) -> None:
    for event in updates.read(PEER, message):
        assert isinstance(event, PathHeard | PathLost | EndOfRib)
        if isinstance(event, PathHeard):
            path = event.path
            assert path.next_hop.version == path.prefix.version
            assert 0 <= path.path_id < 1 << 32
            assert len(path.communities) + len(path.large_communities) <= 2 * updates.MAX_COMMUNITIES
            assert all(Community.parse(str(community)) == community for community in path.communities)
            assert all(type(asn) is int for asn in path.as_path)


@given(values)
def test_no_json_raises(value: object) -> None:
    assert_sound(value)
    assert_sound({"update": value})
    assert_sound({"update": {"attribute": value, "announce": value, "withdraw": value}})
    assert_sound(message(**{"community": value, "large-community": value}))
    assert_sound(message(**{"as-path": value}))


@given(real, st.data())
def test_no_change_of_a_real_message_raises(told: dict[str, Any], data: st.DataObject) -> None:
    told = copy.deepcopy(told)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = told
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
                if data.draw(st.booleans()):
                    place[key] = data.draw(values)
                else:
                    del place[key]
                break
            place = place[key]
    assert_sound(told)


@given(st.sampled_from([REFLECTED, WITH_A_PATH, BOTH, END]), st.data())
def test_no_line_that_was_cut_or_garbled_raises(line: str, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    garbled = line[:start] + data.draw(st.text(max_size=8)) + line[end:]
    parsed = parse_line(garbled)
    if isinstance(parsed, UpdateReceived):
        assert_sound(parsed.message)
