"""BIRD's configuration: each neighbor hears exactly what it is to, and no value becomes a statement."""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.bird_conf import Local, bfd_neighbors, render, render_bfd
from bgp.conf import BfdConfig, SpeakerConfig
from bgp.route import Audience, LargeCommunity, Route, RouteError, parse_address, parse_prefix
from bgp.table import wanted

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
max_routes = 500

[[neighbors]]
address = "198.51.100.9"
local_address = "198.51.100.2"
peer_as = 64509
"""
CONFIG = msgspec.toml.decode(FULL, type=SpeakerConfig)
ROUTER = parse_address("198.51.100.1")
LOCAL = Local(
    {parse_address("198.51.100.2"): 40_001, parse_address("2001:db8:1::2"): 40_002}, {ROUTER: b"s3cret"}
)
SERVICE = Route.parse(
    "192.0.2.0/24", med=50, prepend=2, communities=["graceful-shutdown"], large_communities=["64600:1:42"]
)
CONTROL = Route(
    parse_prefix("2001:db8:1::2/128"),
    large_communities=frozenset({LargeCommunity(64601, 1, 1)}),
    audience=Audience.FLEET,
)
TOLD = wanted(CONFIG.sessions(), SERVICE) | wanted(CONFIG.sessions(), CONTROL)


def block(text: str, head: str) -> list[str]:
    """The statements of one block, without indentation."""
    found = re.search(rf"^{re.escape(head)} {{\n(.*?)^}}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, head
    return [line.strip() for line in found[1].splitlines()]


def test_a_session_with_an_upstream() -> None:
    assert block(render(CONFIG, {}, LOCAL), "protocol bgp n0") == [
        "local 198.51.100.2 port 40001 as 64601;",
        "neighbor 198.51.100.1 port 179 as 64501;",
        "router id 192.0.2.11;",
        "strict bind on; free bind on;",
        "hold time 9;",
        "graceful restart off; long lived graceful restart off;",
        "connect delay time 1; connect retry time 2; error wait time 1, 4;",
        "interpret communities off;",
        "multihop 1;",
        "ttl security on;",
        'password "s3cret";',
        "ipv4 { table n0_ipv4; export filter told; next hop keep; import none; };",
        "ipv6 { table n0_ipv6; export filter told; next hop keep; next hop address 2001:db8:ffff::2; import none; };",
    ]


def test_a_session_of_the_fleet() -> None:
    statements = block(render(CONFIG, {}, LOCAL), "protocol bgp n1")
    assert statements[:3] == [
        "local 2001:db8:1::2 port 1790 as 64601;",
        "neighbor 2001:db8:1::1 as 64601;",
        "router id 192.0.2.12;",
    ]
    assert {"multihop 3;", "ttl security on;", "passive on;"} <= set(statements)
    assert statements[-1] == (
        "ipv6 { table n1_ipv6; export filter told; next hop keep; import filter heard; "
        "import limit 501 action block; igp table nowhere6; add paths rx; };"
    )


def test_nothing_is_announced_before_it_is_told() -> None:
    assert "route " not in render(CONFIG, {}, LOCAL)


def test_each_neighbor_hears_its_own_and_nothing_else() -> None:
    text = render(CONFIG, TOLD, LOCAL)
    assert block(text, "protocol static n0_ipv4_told") == [
        "ipv4 { table n0_ipv4; };",
        # Our AS is added once more by BIRD.
        (
            "route 192.0.2.0/24 blackhole { bgp_next_hop = 198.51.100.2; bgp_path.prepend(64601); "
            "bgp_path.prepend(64601); told_med = 50; bgp_community.add((65535, 0)); "
            "bgp_large_community.add((64600, 1, 42)); };"
        ),
    ]
    assert block(text, "protocol static n0_ipv6_told") == ["ipv6 { table n0_ipv6; };"]
    assert block(text, "protocol static n1_ipv6_told") == [
        "ipv6 { table n1_ipv6; };",
        (
            "route 2001:db8:1::2/128 blackhole { bgp_next_hop = 2001:db8:1::2; "
            "bgp_community.add((65535, 65281)); bgp_large_community.add((64601, 1, 1)); };"
        ),
    ]
    assert "protocol kernel" not in text


def test_a_change_of_one_route_changes_one_line() -> None:
    """So BIRD has nothing else to compare, and no session to touch."""
    changed = TOLD | wanted(CONFIG.sessions()[:1], Route.parse("192.0.2.0/24"))
    before, after = (render(CONFIG, told, LOCAL).splitlines() for told in (TOLD, changed))
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_bfd_is_for_upstreams_on_the_link() -> None:
    """A neighbor of the fleet is not, nor one that GTSM lets be further away; nor are the sessions of a side-car."""
    assert [str(neighbor.address) for neighbor in bfd_neighbors(CONFIG)] == ["198.51.100.1", "198.51.100.9"]
    text = render(CONFIG, {}, LOCAL, BfdConfig(interval_ms=50, multiplier=4))
    for name, is_watched in (("n0", True), ("n1", False), ("n2", True)):
        statements = block(text, f"protocol bgp {name}")
        assert ("bfd on;" in statements) == ("direct;" in statements) == is_watched
    assert block(render_bfd(CONFIG, BfdConfig()), "protocol bfd") == [
        "strict bind on;",
        "accept direct;",
        'interface "*" { interval 100 ms; multiplier 3; };',
        "neighbor 198.51.100.1 local 198.51.100.2;",
        "neighbor 198.51.100.9 local 198.51.100.2;",
    ]
    assert "protocol bgp" not in render_bfd(CONFIG, BfdConfig())


@pytest.mark.parametrize("key", [b"", b"x" * 81, b'a"b', b"a\nb", b"a\0b", "ä".encode(), b"a\x7fb", b"\tb"])
def test_a_key_that_cannot_be_written_is_refused(key: bytes) -> None:
    with pytest.raises(RouteError, match=r"neighbor 198\.51\.100\.1: the MD5 key"):
        render(CONFIG, {}, Local(LOCAL.ports, {ROUTER: key}))


@given(
    key=st.text(
        st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"'), min_size=1, max_size=80
    )
)
def test_a_key_stays_between_its_quotes(key: str) -> None:
    text = render(CONFIG, {}, Local(LOCAL.ports, {ROUTER: key.encode()}))
    assert block(text, "protocol bgp n0")[10] == f'password "{key}";'.strip()


@pytest.mark.needs("bird")
@pytest.mark.parametrize("bfd", [None, BfdConfig()])
def test_bird_can_read_it(tmp_path: Path, bfd: BfdConfig | None) -> None:
    conf = tmp_path / "bird.conf"
    program = shutil.which("bird", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert program is not None
    for text in (render(CONFIG, TOLD, LOCAL, bfd), render_bfd(CONFIG, BfdConfig())):
        conf.write_text(text)
        done = subprocess.run([program, "-p", "-c", conf], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
