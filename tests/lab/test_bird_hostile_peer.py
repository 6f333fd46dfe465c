"""A neighbor of the fleet that tells BIRD more than anybody can want to know.

Meanwhile routes to a router come and go as before, in the same process, and nothing grows without end.
"""

import asyncio
import contextlib
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import msgspec
import pytest
from hostile_peer import (
    AS_PATH,
    CLUSTER_LIST,
    OPTIONAL,
    PATIENCE_S,
    TRANSITIVE,
    HostilePeer,
    attribute,
    communities,
    large_communities,
    malformed,
    mandatory,
    nlri,
    routes,
    update,
)
from loopback import eventually, free_port, running_bird, short_directory

from bgp.bird import Bird, free_ports
from bgp.bird_conf import Local, render
from bgp.bird_control import CONFIGURE, Code, Reply
from bgp.bird_speaker import BirdSpeaker
from bgp.conf import SpeakerConfig
from bgp.received import EndOfRib, Flooded, PathHeard
from bgp.route import Route
from bgp.speaker import SpeakerEvent, SpeakerLost
from bgp.table import NeighborChanged, wanted

pytestmark = pytest.mark.needs("bird")

EDGE, ROUTER, ENEMY = "127.0.0.55", "127.0.0.56", "127.0.0.57"
FLEET_AS, ROUTER_AS = 64600, 64501
MEANWHILE = Route.parse("198.51.100.0/24")
MAX_ROUTES = 10_000
MIB = 1 << 20

# Shared cores with other work on them; the lease is 2 s.
QUIET_S = 1.0
LAG_S = 1.0
SIEGE_S = 60.0
SUPERVISOR_GROWTH_MIB = 128
BIRD_MIB = 160

ROUTER_CONF = f"""\
router id 192.0.2.254;
protocol bgp edge {{
  local {ROUTER} port %d as {ROUTER_AS}; neighbor {EDGE} as {FLEET_AS};
  multihop; strict bind on; passive; hold time 9;
  ipv4 {{ import all; export none; }};
}}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with short_directory() as place:
        yield place


def config(router_port: int, edge_port: int) -> SpeakerConfig:
    enemy = {
        "address": ENEMY,
        "local_address": EDGE,
        "peer_as": FLEET_AS,
        "port": edge_port,
        "passive": True,
        "role": "fleet",
        "max_routes": MAX_ROUTES,
    }
    router = {"address": ROUTER, "local_address": EDGE, "peer_as": ROUTER_AS, "port": router_port}
    values = {"router_id": "192.0.2.155", "local_as": FLEET_AS, "neighbors": [router, enemy]}
    return msgspec.convert(values, SpeakerConfig)


def rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def besiege(
    place: Path,
    messages: Iterable[bytes],
    until: Callable[[list[SpeakerEvent]], bool] = lambda events: True,
) -> list[SpeakerEvent]:
    """What the speaker says while it is told all this, and for a while after it said what is waited for."""
    events: list[SpeakerEvent] = []
    seen = threading.Event()
    router_port, edge_port = free_port(ROUTER), free_port(EDGE)
    enemy = HostilePeer(ENEMY, FLEET_AS, (EDGE, edge_port))

    def attack() -> None:
        with contextlib.suppress(ConnectionError), enemy.session() as link:
            link.sendall(b"".join(messages))
            seen.wait(PATIENCE_S)
            time.sleep(QUIET_S)

    async def story() -> None:
        lag_s, steered = 0.0, 0
        with running_bird(place, "router", ROUTER_CONF % router_port) as router:
            speaker = BirdSpeaker(config(router_port, edge_port), place / "run", events.append)
            await speaker.start()
            try:
                await eventually(lambda: IPv4Address(ROUTER) in speaker.sessions_up)
                pid, before_mib = speaker.pid, rss_mib(os.getpid())
                attacked = asyncio.create_task(asyncio.to_thread(attack))
                slowest_s = 0.0
                while not attacked.done():
                    if until(events):
                        seen.set()
                    speaker.announce(MEANWHILE)
                    took = await eventually(lambda: router.prefixes() == {str(MEANWHILE.prefix)})
                    speaker.withdraw(MEANWHILE.prefix)
                    took = max(took, await eventually(lambda: router.prefixes() == set()))
                    slowest_s, steered = max(slowest_s, took), steered + 1
                    began = time.monotonic()
                    await asyncio.sleep(0.05)
                    lag_s = max(lag_s, time.monotonic() - began - 0.05)
                await attacked
                assert pid is not None
                bird_mib, growth_mib = rss_mib(pid), rss_mib(os.getpid()) - before_mib
                sys.stdout.write(
                    f"steered {steered} times, at worst in {slowest_s * 1000:.0f} ms; lag {lag_s * 1000:.0f} ms, "
                    f"bird {bird_mib:.0f} MiB, supervisor +{growth_mib:.0f} MiB\n"
                )
                assert speaker.pid == pid, [event for event in events if isinstance(event, SpeakerLost)]
                assert lag_s < LAG_S
                assert bird_mib < BIRD_MIB
                assert growth_mib < SUPERVISOR_GROWTH_MIB
            finally:
                await speaker.stop()

    asyncio.run(story())
    assert not any(isinstance(event, SpeakerLost) for event in events)
    routers = [
        event for event in events if isinstance(event, NeighborChanged) and str(event.neighbor) == ROUTER
    ]
    assert [event.is_up for event in routers] == [True, False]
    return events


def heard(events: list[SpeakerEvent]) -> dict[str, PathHeard]:
    return {str(event.path.prefix): event for event in events if isinstance(event, PathHeard)}


def test_a_hundred_thousand_control_routes(place: Path) -> None:
    load = large_communities([(FLEET_AS, 1, 1), (FLEET_AS, 2, 0), (FLEET_AS, 3, 10), (FLEET_AS, 4, 100)])
    flooded = Flooded(IPv4Address(ENEMY), f"more than {MAX_ROUTES} routes")
    events = besiege(place, routes(mandatory(ENEMY) + load, 100_000), until=lambda events: flooded in events)
    assert [event for event in events if isinstance(event, Flooded)] == [flooded]
    # What came before it is as much as one look found; nothing after.
    assert len(heard(events)) <= MAX_ROUTES


def test_as_many_as_are_listened_to(place: Path) -> None:
    end = EndOfRib(IPv4Address(ENEMY), 4)
    events = besiege(place, routes(mandatory(ENEMY), MAX_ROUTES), until=lambda events: end in events)
    assert len(heard(events)) == MAX_ROUTES
    assert end in events
    assert not any(isinstance(event, Flooded) for event in events)


def test_a_route_changes_while_what_a_neighbor_told_is_cleared_away(place: Path) -> None:
    """BIRD does that piece by piece. Meanwhile a new table is taken, or queued: neither is a reason to kill it."""
    edge_port, answers, enough = free_port(EDGE), list[int](), threading.Event()
    settings = config(free_port(ROUTER), edge_port)
    enemy = HostilePeer(ENEMY, FLEET_AS, (EDGE, edge_port))
    local = Local(free_ports([IPv4Address(EDGE)]), {})
    empty, full = (render(settings, told, local) for told in ({}, wanted(settings.sessions()[:1], MEANWHILE)))

    class Heard(Bird):
        async def ask(self, question: str) -> Reply:
            reply = await super().ask(question)
            if question == CONFIGURE:
                answers.append(reply.lines[-1][0])
            return reply

    def come_and_go() -> None:
        while not enough.wait(0.05):
            with contextlib.suppress(ConnectionError):
                enemy.say(*routes(mandatory(ENEMY), MAX_ROUTES))

    async def has_it(bird: Bird) -> bool:
        routes = await bird.ask("show route protocol n0_ipv4_told")
        return any(str(MEANWHILE.prefix) in line for line in routes.texts(Code.ROUTE))

    async def story() -> None:
        bird = await Heard.start(
            settings,
            place / "run",
            lambda: empty,
            lease_s=SIEGE_S,
            timeout_s=PATIENCE_S,
            start_timeout_s=PATIENCE_S,
            bfd=False,
        )
        attacked = asyncio.create_task(asyncio.to_thread(come_and_go))
        try:
            async with asyncio.timeout(SIEGE_S):
                while not {Code.RECONFIGURED, Code.IN_PROGRESS, Code.QUEUED}.issubset(answers):
                    for text in (full, empty):
                        await bird.configure(text)
                        # If it is in progress, the next one comes at once: perhaps it still is.
                        if answers[-1] != Code.IN_PROGRESS:
                            assert await has_it(bird) == (text is full)
        finally:
            enough.set()
            await attacked
            await bird.close(0.0)

    asyncio.run(story())


def test_attributes_that_are_valid_and_absurd(place: Path) -> None:
    """Thousands, no two the same, each as large as a message; BIRD has to keep those it does not know."""

    def messages() -> Iterator[bytes]:
        for number in range(2000):
            seed = struct.pack("!I", number + 1)
            for kind, attributes in enumerate(
                (
                    mandatory(ENEMY) + large_communities((number, index, index) for index in range(300)),
                    mandatory(ENEMY) + communities(range(number << 16, (number << 16) + 900)),
                    mandatory(ENEMY) + attribute(CLUSTER_LIST, seed * 900, OPTIONAL),
                    mandatory(ENEMY).replace(
                        attribute(AS_PATH, b""), attribute(AS_PATH, b"\x02\xff" + seed * 255)
                    ),
                    mandatory(ENEMY) + attribute(200, seed * 900, OPTIONAL | TRANSITIVE),
                )
            ):
                yield update(attributes, nlri(IPv4Network(f"192.0.2.{kind}/32"), number))

    events = besiege(place, messages(), until=lambda events: "192.0.2.4/32" in heard(events))
    # The last kind alone: what nobody asks for does not make a route unbelievable.
    assert heard(events).keys() == {"192.0.2.4/32"}


@pytest.mark.parametrize("name", ["no attributes", "NLRI of /33", "attribute 255", "noise", "a second OPEN"])
def test_malformed_messages(place: Path, name: str) -> None:
    route = nlri(IPv4Network("192.0.2.9/32"))
    events = besiege(place, [malformed(ENEMY, route)[name]])
    assert heard(events).keys() <= ({"192.0.2.9/32"} if name == "attribute 255" else set())
