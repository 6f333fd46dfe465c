"""The configuration file: what every session gets, and that no value becomes a statement."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.conf import SpeakerConfig, render
from bgp.route import RouteError, parse_address

FULL = """
router_id = "192.0.2.11"
local_as = 64601

[[neighbors]]
address = "198.51.100.1"
local_address = "198.51.100.2"
peer_as = 64501
families = ["ipv4", "ipv6"]
next_hop_ipv6 = "2001:db8:ffff::2"
ttl_security = true
md5_file = "/run/keys/bgp"

[[neighbors]]
address = "2001:db8:1::1"
local_address = "2001:db8:1::2"
peer_as = 64601
port = 1790
passive = true
role = "fleet"
router_id = "192.0.2.12"
ttl_security = 3
"""
RUN = ("/usr/bin/python3", "-I", "/opt/edge/bgp/bridge.py", "/run/edge/bgp/bridge.sock", "2")
KEY = b"s3cret"
KEYS = {parse_address("198.51.100.1"): KEY}

EXPECTED = """\
process edge {
  run "/usr/bin/python3" "-I" "/opt/edge/bgp/bridge.py" "/run/edge/bgp/bridge.sock" "2";
  encoder json;
  respawn false;
}

neighbor 198.51.100.1 {
  router-id 192.0.2.11;
  local-address 198.51.100.2;
  local-as 64601;
  peer-as 64501;
  hold-time 9;
  adj-rib-out true;
  adj-rib-in false;
  connect 179;
  outgoing-ttl 255;
  incoming-ttl 255;
  md5-password czNjcmV0;
  md5-base64 true;
  capability { graceful-restart disable; extended-message disable; }
  family { ipv4 unicast; ipv6 unicast; }
  api { processes [ edge ]; neighbor-changes; }
}

neighbor 2001:db8:1::1 {
  router-id 192.0.2.12;
  local-address 2001:db8:1::2;
  local-as 64601;
  peer-as 64601;
  hold-time 9;
  adj-rib-out true;
  adj-rib-in false;
  passive true;
  listen 1790;
  outgoing-ttl 255;
  incoming-ttl 253;
  capability { graceful-restart disable; extended-message disable; add-path receive; }
  family { ipv6 unicast; }
  api { processes [ edge ]; neighbor-changes; receive { parsed; update; } }
}
"""


def config(toml: str) -> SpeakerConfig:
    return msgspec.toml.decode(toml, type=SpeakerConfig)


def test_the_file() -> None:
    assert render(config(FULL), run=RUN, md5_keys=KEYS) == EXPECTED


def test_the_key_is_not_in_the_configuration_object() -> None:
    """What holds it could be printed, logged or served by an admin socket."""
    assert KEY.decode() not in repr(config(FULL))


def changed(old: str, new: str) -> str:
    assert old in FULL
    return FULL.replace(old, new)


@pytest.mark.parametrize(
    "toml, complaint",
    [
        (changed('"198.51.100.1"', '"198.51.100.1; shutdown"'), "address: .*neighbors"),
        (changed('"198.51.100.2"', '"2001:db8::2"'), "not of the same family.*neighbors"),
        (changed('"2001:db8:1::1"', '"2001:db8:1::1%eth0; }"'), "scope.*neighbors"),
        (changed('"2001:db8:ffff::2"', '"198.51.100.2"'), "next_hop_ipv6: .*other family.*neighbors"),
        (changed('next_hop_ipv6 = "2001:db8:ffff::2"', ""), "next_hop_ipv6: needed.*neighbors"),
        (changed('families = ["ipv4", "ipv6"]', 'families = ["ipv4; }"]'), r"families"),
        (changed("ttl_security", "ttl_securty"), "unknown field"),
        (changed("peer_as = 64501", "peer_as = 0"), "peer_as"),
        (changed('"192.0.2.11"', '"2001:db8::b"'), "router_id"),
        (changed('"192.0.2.12"', '"192.0.2.12; }"'), "router_id.*neighbors"),
        (changed("peer_as = 64601", "peer_as = 64602"), "within its AS"),
        (changed("local_as = 64601\n", "local_as = 64601\nhold_time_s = 0\n"), "hold_time_s"),
        (
            changed('"2001:db8:1::1"', '"198.51.100.1"').replace("2001:db8:1::2", "198.51.100.2"),
            "same address",
        ),
    ],
)
def test_mistakes_are_found_with_their_place(toml: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint) as caught:
        config(toml)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ['a"b', "a\\b", "a\nb", "ä", "a\x00b"])
def test_a_path_that_would_need_escaping_is_refused(word: str) -> None:
    with pytest.raises(RouteError, match="cannot be written"):
        render(config(FULL), run=(*RUN, word), md5_keys=KEYS)


def test_a_path_with_blanks_and_braces_stays_one_word() -> None:
    text = render(config(FULL), run=("/opt/my edge; } {/python",), md5_keys=KEYS)
    assert '  run "/opt/my edge; } {/python";\n' in text


@pytest.mark.parametrize("key", [b"", b"x" * 81])
def test_a_key_that_the_kernel_would_not_take(key: bytes) -> None:
    with pytest.raises(RouteError, match="MD5 key"):
        render(config(FULL), run=RUN, md5_keys={parse_address("198.51.100.1"): key})


@given(st.binary(min_size=1, max_size=80))
def test_no_key_breaks_out_of_its_statement(key: bytes) -> None:
    text = render(config(FULL), run=RUN, md5_keys={parse_address("198.51.100.1"): key})
    encoded = base64.b64encode(key).decode()
    assert text == EXPECTED.replace("czNjcmV0", encoded)
    assert not set(encoded) & set(" ;{}#'\"\\\n")
