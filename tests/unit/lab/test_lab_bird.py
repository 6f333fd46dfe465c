"""BIRD's configuration as text, and its answers as values. What BIRD makes of the text is for tests/lab."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.lab import bird
from edge.lab.birdc import Birdc, RibRoute, Session, parse_routes, parse_sessions
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
    assert "import filter from_edge; export none" in session(text, "e1_v4")
    assert "if net != 198.51.100.0/24 && net != 2001:db8:a::/48 then reject" in text


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
    assert bird.session_name("edge-1", "v6") == "edge_1_v6"


def test_no_bird_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(bird, "_SYSTEM_DIRECTORIES", ())
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
        RibRoute("e2_v4", True, "203.0.113.21", "e2", (64600, 64600), ((65535, 0), (64600, 7))),
        RibRoute("t1_v4", False, "203.0.113.2", "t1", (64501, 64600), ()),
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
