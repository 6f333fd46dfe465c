"""What the fleet hears of itself through two BIRD route reflectors, over loopback; with either speaker.

The reflectors peer with each other, so that what a node told one of them comes back to it from the other: its
own route as others see it. A reflector tells nobody a route whose next hop is that neighbor's own address
(RFC 4271, 5.1.3), which our own route has; the export filter below puts its own address in the place.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from loopback import SPEAKERS, Bird, eventually, free_port, running_bird, running_speaker, short_directory

from bgp.received import EndOfRib, PathHeard, PathLost
from bgp.received import Path as HeardPath
from bgp.route import NO_EXPORT, Audience, LargeCommunity, Route, parse_prefix
from bgp.speaker import SpeakerEvent, SpeakerTiming
from bgp.table import NeighborChanged

pytestmark = pytest.mark.needs("bird")

FLEET_AS = 64600
R1, R2 = "127.0.0.21", "127.0.0.22"
NODE, OTHER = "127.0.0.31", "127.0.0.32"
# Who the first node is to each reflector.
NODE_IDS = {R1: "192.0.2.131", R2: "192.0.2.132"}
OTHER_IDS = {R1: "192.0.2.133", R2: "192.0.2.133"}
NEXT_HOPS_V6 = {NODE: "2001:db8:ffff::31", OTHER: "2001:db8:ffff::32"}
SERVICE_V4, SERVICE_V6 = Route.parse("192.0.2.1/32"), Route.parse("2001:db8::1/128")
STAY_DEAD = SpeakerTiming(restart_delays_s=(60.0,))

REFLECTOR = """\
router id {router_id};
protocol bgp peer {{
  local {own} port {port} as {asn}; neighbor {peer} port {port} as {asn};
  multihop; strict bind on;
  rr cluster id {router_id}; hold time 9; connect delay time 1; error wait time 1, 2;
  ipv4 {{ import all; export all; add paths on; }};
  ipv6 {{ import all; export all; add paths on; }};
}}
"""
CLIENT = """\
protocol bgp client{number} {{
  local {own} port {port} as {asn}; neighbor {client} as {asn};
  {hops}; strict bind on; passive;
  rr client; rr cluster id {router_id}; hold time 9; error wait time 1, 2;
  {secured}
  ipv4 {{
    import all; add paths tx;
    export filter {{ if bgp_next_hop = {client} then bgp_next_hop = {own}; accept; }};
  }};
  ipv6 {{ import all; export all; add paths tx; }};
}}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with short_directory() as place:
        yield place


@pytest.fixture(params=list(SPEAKERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port() -> int:
    return free_port(R1, R2)


@contextlib.contextmanager
def reflector(
    place: Path, own: str, port: int, *, hops: str = "multihop", secured: str = ""
) -> Iterator[Bird]:
    peer = R2 if own == R1 else R1
    values = {"own": own, "peer": peer, "port": port, "asn": FLEET_AS, "hops": hops, "secured": secured}
    values["router_id"] = own.replace("127.0.0", "192.0.2")
    conf = REFLECTOR.format(**values)
    for number, client in enumerate((NODE, OTHER)):
        conf += CLIENT.format(number=number, client=client, **values)
    with running_bird(place, own, conf) as bird:
        yield bird


def node(address: str, ids: dict[str, str], port: int, **neighbor: Any) -> dict[str, Any]:
    return {
        "router_id": "192.0.2.130",
        "local_as": FLEET_AS,
        "neighbors": [
            {
                "address": reflector_address,
                "local_address": address,
                "peer_as": FLEET_AS,
                "port": port,
                "role": "fleet",
                "router_id": router_id,
                "families": ["ipv4", "ipv6"],
                "next_hop_ipv6": NEXT_HOPS_V6[address],
                **neighbor,
            }
            for reflector_address, router_id in ids.items()
        ],
    }


def standing(events: list[SpeakerEvent], reflector_address: str) -> list[HeardPath]:
    """What a reflector has told and not taken back."""
    paths: dict[tuple[Any, int], HeardPath] = {}
    for event in events:
        match event:
            case PathHeard(neighbor, path) if str(neighbor) == reflector_address:
                paths[path.prefix, path.path_id] = path
            case PathLost(neighbor, prefix, path_id) if str(neighbor) == reflector_address:
                del paths[prefix, path_id]
            case NeighborChanged(neighbor, is_up=False) if str(neighbor) == reflector_address:
                paths.clear()
    return list(paths.values())


def note(what: str, seconds: float) -> None:
    sys.stdout.write(f"{what} after {seconds * 1000:.0f} ms\n")


def test_our_own_route_comes_back_from_the_other_reflector(kind: str, place: Path, port: int) -> None:
    async def story() -> None:
        async with running_speaker(node(NODE, NODE_IDS, port), place / "node", kind=kind) as (
            speaker,
            events,
        ):
            await eventually(lambda: len(speaker.sessions_up) == 2)
            await eventually(lambda: sum(isinstance(event, EndOfRib) for event in events) == 4)
            for route in (SERVICE_V4, SERVICE_V6):
                speaker.announce(route)
            took = await eventually(lambda: all(len(standing(events, own)) == 2 for own in (R1, R2)))
            note("back", took)
            for here, there in ((R1, R2), (R2, R1)):
                v4, v6 = sorted(standing(events, here), key=lambda path: path.prefix.version)
                assert (v4.prefix, v6.prefix) == (SERVICE_V4.prefix, SERVICE_V6.prefix)
                # Told to the one, back from the other: whoever reads this knows itself by the originator.
                assert v4.originator == v6.originator == IPv4Address(NODE_IDS[there])
                assert str(v4.next_hop) == here
                assert str(v6.next_hop) == NEXT_HOPS_V6[NODE]
                assert v4.communities == v6.communities == {NO_EXPORT}
            speaker.withdraw_all()
            took = await eventually(lambda: not standing(events, R1) and not standing(events, R2))
            note("gone", took)

    with reflector(place, R1, port), reflector(place, R2, port):
        asyncio.run(story())


def test_another_node_is_heard_through_both_until_it_is_killed(kind: str, place: Path, port: int) -> None:
    load = frozenset({LargeCommunity(FLEET_AS, 1, 1), LargeCommunity(FLEET_AS, 3, 4294967295)})
    control = Route(parse_prefix("192.0.2.32/32"), large_communities=load, audience=Audience.FLEET)

    async def story() -> None:
        async with (
            running_speaker(node(NODE, NODE_IDS, port), place / "node", kind=kind) as (speaker, events),
            running_speaker(node(OTHER, OTHER_IDS, port), place / "other", STAY_DEAD, kind=kind) as (
                other,
                _,
            ),
        ):
            await eventually(lambda: len(speaker.sessions_up) == len(other.sessions_up) == 2)
            other.announce(control)
            # Directly from each, and from each as the other one has it.
            took = await eventually(lambda: all(len(standing(events, own)) == 2 for own in (R1, R2)))
            note("heard", took)
            for path in standing(events, R1) + standing(events, R2):
                assert path.prefix == control.prefix
                assert path.large_communities == load
                assert path.communities == {NO_EXPORT}
                assert str(path.next_hop) == OTHER
                assert path.originator == IPv4Address(OTHER_IDS[R1])
            os.kill(other.pid, signal.SIGKILL)
            took = await eventually(lambda: not standing(events, R1) and not standing(events, R2))
            note("lost", took)
            assert len(speaker.sessions_up) == 2

    with reflector(place, R1, port), reflector(place, R2, port):
        asyncio.run(story())


def test_a_reflector_that_dies_takes_only_its_own_view_with_it(kind: str, place: Path, port: int) -> None:
    async def story(doomed: Bird) -> None:
        async with (
            running_speaker(node(NODE, NODE_IDS, port), place / "node", kind=kind) as (speaker, events),
            running_speaker(node(OTHER, OTHER_IDS, port), place / "other", kind=kind) as (other, _),
        ):
            other.announce(SERVICE_V4)
            await eventually(lambda: all(len(standing(events, own)) == 2 for own in (R1, R2)))
            doomed.process.kill()
            took = await eventually(lambda: len(speaker.sessions_up) == 1)
            note("noticed", took)
            down = [event for event in events if isinstance(event, NeighborChanged) and not event.is_up]
            assert [str(event.neighbor) for event in down] == [R1]
            # What came by way of the dead one goes, what the other heard itself stays.
            await eventually(lambda: len(standing(events, R2)) == 1)

    with reflector(place, R1, port) as doomed, reflector(place, R2, port):
        asyncio.run(story(doomed))


def test_sessions_with_md5_and_gtsm_on_both_sides(kind: str, place: Path, port: int) -> None:
    """The second reflector has the key, but sends from too far away."""
    (place / "key").write_text("pass'; {#word}\n")
    secured = {"md5_file": str(place / "key"), "ttl_security": 2}
    password = 'password "pass\'; {#word}";'

    async def story() -> None:
        async with running_speaker(node(NODE, NODE_IDS, port, **secured), place / "node", kind=kind) as (
            speaker,
            events,
        ):
            await eventually(lambda: speaker.sessions_up == {IPv4Address(R1)})
            await eventually(lambda: EndOfRib(IPv4Address(R1), 4) in events)
            await asyncio.sleep(1)
            assert speaker.sessions_up == {IPv4Address(R1)}

    with (
        reflector(place, R1, port, hops="multihop 2", secured=f"{password} ttl security on;"),
        reflector(place, R2, port, hops="multihop 2", secured=password),
    ):
        asyncio.run(story())
