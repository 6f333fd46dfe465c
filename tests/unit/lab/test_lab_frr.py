"""FRR's configuration as text, and its answers as values. What FRR makes of the text is for tests/lab."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.lab import frr
from edge.lab.parts import Software
from edge.lab.rib import RibRoute, Session
from edge.lab.topologies import default_topology, fleet_topology
from edge.lab.vty import Damped, Vty, parse_damped, parse_routes, parse_sessions

FRR = default_topology().with_node("t2", software=Software.FRR)

SUMMARY = {
    "ipv4Unicast": {
        "peers": {
            "203.0.113.51": {
                "state": "Established",
                "peerUptimeEstablishedEpoch": 1795243298,
                "desc": "e3_v4",
            },
            "203.0.113.71": {"state": "Active", "desc": "e4_v4"},
        }
    },
    "ipv6Unicast": {"peers": {}},
}
NAMES = {"203.0.113.51": "e3_v4", "203.0.113.2": "t1_v4"}
USED = {
    "aspath": {"string": "64501 64600"},
    "locPrf": 80,
    "community": {"string": "64600:7 graceful-shutdown"},
    "largeCommunity": {"string": "64600:1:2"},
    "bestpath": {"overall": True},
    "nexthops": [{"ip": "203.0.113.2"}],
    "peer": {"peerId": "203.0.113.2"},
}
SUPPRESSED = {
    "aspath": {"string": "64600"},
    "locPrf": 200,
    "dampeningSuppressed": True,
    "dampeningPenalty": 3000,
    "dampeningFlapCount": 3,
    "reuseTimerMsecs": 1799000,
    "nexthops": [{"ip": "203.0.113.51"}],
    "peer": {"peerId": "203.0.113.51"},
}
WITHDRAWN = {
    key: value for key, value in SUPPRESSED.items() if key not in ("dampeningSuppressed", "reuseTimerMsecs")
} | {"dampeningHistoryEntry": True, "dampeningPenalty": 1000, "dampeningFlapCount": 1}


def route_map(text: str, session: str) -> list[str]:
    """What is done with the routes of one session."""
    _, found, rest = text.partition(f"route-map from-{session} permit 10\n")
    assert found, text
    lines = rest.splitlines()
    return lines[: next(index for index, line in enumerate(lines) if not line.startswith(" "))]


def test_from_an_edge_only_the_anycast_prefixes_and_nothing_back() -> None:
    text = frr.config(FRR, "t2")
    assert "ip prefix-list service permit 198.51.100.0/24\n" in text
    assert "ipv6 prefix-list service permit 2001:db8:a::/48\n" in text
    assert route_map(text, "e2_v4") == [" match ip address prefix-list service"]
    assert route_map(text, "e2_v6") == [" match ipv6 address prefix-list service"]
    assert "neighbor 203.0.113.21 route-map nothing out\n" in text
    assert route_map(text, "t1_v4") == []
    assert "neighbor 203.0.113.2 route-map nothing out\n" not in text


def test_what_a_router_thinks_of_a_session() -> None:
    topology = FRR.with_bgp("t2-e2", local_pref=200, honour_graceful_shutdown=False)
    assert route_map(frr.config(topology, "t2"), "e2_v4") == [
        " match ip address prefix-list service",
        " set local-preference 200",
        " set comm-list graceful-shutdown delete",
    ]


def test_sessions_are_dialled_by_one_end_and_protected_as_the_topology_says() -> None:
    text = frr.config(FRR, "t2")
    assert "neighbor 203.0.113.21 passive\n" in text
    assert "neighbor 203.0.113.21 password between-neighbours\n" in text
    assert "neighbor 203.0.113.21 ttl-security hops 1\n" in text
    assert "neighbor 203.0.113.2 passive\n" in text  # the other end, t1, is the first of the link
    assert "neighbor 203.0.113.2 password" not in text
    first = frr.config(default_topology().with_node("t1", software=Software.FRR), "t1")
    assert "neighbor 203.0.113.3 passive\n" not in first


def test_routes_of_the_dead_are_not_kept_and_damping_is_by_choice() -> None:
    text = frr.config(FRR, "t2")
    assert " bgp graceful-restart-disable\n timers bgp 3 9\n" in text.replace(
        " bgp bestpath as-path multipath-relax\n", ""
    )
    assert "dampening" not in text
    assert frr.config(fleet_topology(damping=True), "t2").count("  bgp dampening\n") == 2


def test_no_frr_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frr, "_DIRECTORIES", ())
    with pytest.raises(UnreachableError, match="Debian package frr"):
        frr.executable("bgpd")


def test_sessions_as_frr_lists_them() -> None:
    assert list(parse_sessions(SUMMARY)) == [
        Session("e3_v4", "Established", "06:41:38"),
        Session("e4_v4", "Active", "-"),
    ]


def test_routes_as_frr_lists_them_without_those_it_only_remembers() -> None:
    assert list(parse_routes([USED, SUPPRESSED, WITHDRAWN], NAMES)) == [
        RibRoute(
            session="t1_v4",
            best=True,
            next_hop="203.0.113.2",
            as_path=(64501, 64600),
            local_pref=80,
            communities=((64600, 7), (65535, 0)),
            large_communities=((64600, 1, 2),),
        ),
        RibRoute(session="e3_v4", best=False, next_hop="203.0.113.51", as_path=(64600,), local_pref=200),
    ]


def test_penalties_also_of_routes_that_are_withdrawn() -> None:
    assert list(parse_damped([USED, SUPPRESSED, WITHDRAWN], NAMES)) == [
        Damped(session="e3_v4", penalty=3000, flaps=3, suppressed=True, reuse_s=1799.0),
        Damped(session="e3_v4", penalty=1000, flaps=1, suppressed=False, reuse_s=0.0),
    ]


async def ask_a_bgpd_that_says(directory: Path, reply: bytes) -> tuple[tuple[Session, ...], bytes]:
    """Ask for the sessions of a bgpd that says that, and what it was asked."""
    asked = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\0"))
        writer.write(reply)
        writer.close()

    async with await asyncio.start_unix_server(talk, directory / "bgpd.vty"):
        return await Vty(directory).sessions(), asked[0]


def test_a_command_and_its_answer_end_with_nul(tmp_path: Path) -> None:
    found, asked = asyncio.run(ask_a_bgpd_that_says(tmp_path, json.dumps(SUMMARY).encode() + b"\n\0\0\0\0"))
    assert asked == b"show bgp summary json\0"
    assert [session.name for session in found] == ["e3_v4", "e4_v4"]


@pytest.mark.parametrize(
    "reply, error, said",
    [
        (b"% Unknown command\n\0\0\0\2", EdgeError, "show bgp summary json: % Unknown command"),
        (b"", UnreachableError, "closed"),
        (b"{}\0\0\0", UnreachableError, "closed"),
    ],
)
def test_a_bgpd_that_refuses_or_dies(tmp_path: Path, reply: bytes, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        asyncio.run(ask_a_bgpd_that_says(tmp_path, reply))


def test_a_bgpd_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        asyncio.run(Vty(tmp_path).sessions())
