"""BIRD's configuration as text, and its answers as values. What BIRD makes of the text is for tests/lab."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.lab import bird, programs
from edge.lab.birdc import Birdc, parse_routes, parse_sessions
from edge.lab.rib import RibRoute, Session, session_name
from edge.lab.topologies import default_topology
from edge.lab.topology import decode, encode

ROUTES = """\
198.51.100.0/24      unicast [e2_v4 03:13:10.123] * (100) [AS64600i]
	via 203.0.113.21 on e2
	Type: BGP univ
	BGP.origin: IGP
	BGP.as_path: 64600 64600
	BGP.next_hop: 203.0.113.21
	BGP.local_pref: 0
	BGP.community: (65535,0) (64600,7)
                     unicast [t1_v4 03:13:11.456] (100) [AS64600i]
	via 203.0.113.2 on t1
	BGP.as_path: 64501 64600
	BGP.next_hop: 203.0.113.2
"""

REFLECTED = """\
2001:db8:21::2/128   unreachable [rr2_v6 07:26:21.988 from 2001:db8:32::2] * (100/-) [i]
	Type: BGP univ
	BGP.origin: IGP
	BGP.as_path:
	BGP.next_hop: 2001:db8:21::2 fe80::1
	BGP.local_pref: 100
	BGP.community: (65535,65281)
	BGP.originator_id: 241.0.113.11
	BGP.cluster_list: 203.0.113.51
	BGP.large_community: (64600, 1, 1) (64600, 3, 12)
"""

PROTOCOLS = """\
device1    Device     ---        up     03:13:09.001
t2_v4      BGP        ---        up     03:13:10.123  Established
e1_v4      BGP        ---        start  2026-11-20    Active        Socket: Connection refused
e1_v6      BGP        ---        down   03:13:09.001
"""


def session(text: str, name: str) -> str:
    """The block of one session."""
    match = re.search(rf"protocol bgp {name} .*?^}}", text, re.DOTALL | re.MULTILINE)
    assert match, text
    return match[0]


def test_a_session_for_each_neighbour_and_family() -> None:
    text = bird.config(default_topology(), "t2")
    assert re.findall(r"protocol bgp (\w+)", text) == ["t1_v4", "t1_v6", "e2_v4", "e2_v6", "e3_v4", "e3_v6"]
    assert "local 2001:db8:22::1 as 64502" in session(text, "e2_v6")
    assert "neighbor 2001:db8:22::2 as 64600" in session(text, "e2_v6")


def test_from_an_edge_only_the_anycast_prefixes_and_nothing_back() -> None:
    text = bird.config(default_topology(), "t1")
    assert "if net != 198.51.100.0/24 then reject;" in session(text, "e1_v4")
    assert "if net != 2001:db8:a::/48 then reject;" in session(text, "e1_v6")
    assert "export none" in session(text, "e1_v4")
    assert "reject" not in session(text, "t2_v4")


def test_what_a_router_thinks_of_a_session() -> None:
    usual, other = (
        session(bird.config(topology, "t1"), "e1_v4")
        for topology in (
            default_topology(),
            default_topology().with_bgp("t1-e1", local_pref=200, honour_graceful_shutdown=False, bfd=True),
        )
    )
    assert "if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept;" in usual
    assert "bgp_local_pref = 200;" in other
    assert "bgp_community" not in other
    assert ("bfd on" in usual, "bfd on" in other) == (False, True)


def test_bfd_listens_only_where_somebody_speaks_it() -> None:
    topology = default_topology().with_bgp("t1-e1", bfd=True)
    assert "protocol bfd" in bird.config(topology, "t1")
    assert "protocol bfd" not in bird.config(topology, "t2")


def test_of_two_routers_exactly_one_dials() -> None:
    texts = {router: bird.config(default_topology(), router) for router in ("t1", "t2")}
    passive = [
        "passive on" in session(texts[here], f"{there}_v4") for here, there in (("t1", "t2"), ("t2", "t1"))
    ]
    assert sorted(passive) == [False, True]
    assert "passive on" in session(texts["t1"], "e1_v4")


def test_routes_of_the_dead_are_not_kept() -> None:
    text = bird.config(default_topology(), "t1")
    assert "graceful restart off; long lived graceful restart off" in text
    assert "hold time 9" in text


def test_password_and_ttl_only_where_the_topology_has_them() -> None:
    document = encode(default_topology())
    document["links"][3]["bgp"] = {"md5": "secret", "gtsm": True}
    text = bird.config(decode(document), "t1")
    assert 'password "secret";\n  ttl security on;' in session(text, "e1_v6")
    assert "password" not in session(text, "t2_v4")
    assert "ttl" not in session(text, "t2_v4")


def test_names_that_bird_would_not_read() -> None:
    assert session_name("edge-1", "v6") == "edge_1_v6"


def test_no_bird_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "_SYSTEM_DIRECTORIES", ())
    with pytest.raises(UnreachableError, match="Debian package bird2"):
        bird.executable()


def test_sessions_as_bird_lists_them() -> None:
    assert list(parse_sessions(PROTOCOLS.splitlines())) == [
        Session("t2_v4", "Established", "03:13:10.123"),
        Session("e1_v4", "Active", "2026-11-20"),
        Session("e1_v6", "down", "03:13:09.001"),
    ]


def test_routes_as_bird_lists_them() -> None:
    assert list(parse_routes(ROUTES.splitlines())) == [
        RibRoute(
            session="e2_v4",
            best=True,
            next_hop="203.0.113.21",
            as_path=(64600, 64600),
            local_pref=0,
            communities=((65535, 0), (64600, 7)),
        ),
        RibRoute(session="t1_v4", best=False, next_hop="203.0.113.2", as_path=(64501, 64600)),
    ]


def test_routes_as_a_reflector_lists_them() -> None:
    assert list(parse_routes(REFLECTED.splitlines())) == [
        RibRoute(
            session="rr2_v6",
            best=True,
            next_hop="2001:db8:21::2",
            local_pref=100,
            communities=((65535, 65281),),
            large_communities=((64600, 1, 1), (64600, 3, 12)),
            originator="241.0.113.11",
        )
    ]


async def ask_a_bird_that_says(path: Path, *replies: bytes) -> tuple[Session, ...]:
    """Ask for the sessions of a BIRD that greets and then says the rest to every question."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(replies[0])
        await reader.readline()
        writer.write(b"".join(replies[1:]))
        writer.close()

    async with await asyncio.start_unix_server(talk, path):
        return await Birdc(path).sessions()


def test_a_reply_of_several_lines(tmp_path: Path) -> None:
    said = asyncio.run(
        ask_a_bird_that_says(
            tmp_path / "ctl",
            b"0001 BIRD 2.0.12 ready.\n",
            b"2002-Name  Proto  Table  State  Since  Info\n1002-direct1 Direct --- up 03:13:09\n",
            b" t2_v4 BGP --- up 03:13:10 Established\n0000 \n",
        )
    )
    assert said == (Session("t2_v4", "Established", "03:13:10"),)


@pytest.mark.parametrize(
    "reply, error",
    [(b"9001 syntax error\n", EdgeError), (b"", UnreachableError), (b"1002-t2", UnreachableError)],
)
def test_a_bird_that_refuses_or_dies(tmp_path: Path, reply: bytes, error: type[EdgeError]) -> None:
    with pytest.raises(error):
        asyncio.run(ask_a_bird_that_says(tmp_path / "ctl", b"0001 BIRD 2.0.12 ready.\n", reply))


def test_a_bird_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        asyncio.run(Birdc(tmp_path / "ctl").sessions())
