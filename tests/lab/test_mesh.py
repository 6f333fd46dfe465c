"""Two nodes that know each other directly, without a reflector; any speaker with any."""

import asyncio
import os
import signal
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loopback import SPEAKERS, eventually, free_port, running_speaker, short_directory

from bgp.conf import SpeakerConfig
from bgp.control_route import ControlState
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost
from bgp.route import Route
from bgp.speaker import SpeakerEvent, SpeakerTiming
from bgp.state import State
from bgp.table import NeighborChanged
from bgp.view import View, ViewParams

pytestmark = pytest.mark.needs("bird")

FLEET_AS = 64600
LISTENS, DIALS = "127.0.0.41", "127.0.0.42"
# No node can have a loopback address; by these they know each other.
UNICAST = {LISTENS: IPv4Address("192.0.2.141"), DIALS: IPv4Address("192.0.2.142")}
SERVICE = Route.parse("192.0.2.1/32")
PARAMS = ViewParams(steady_s=0.2, sync_s=0.5)
STAY_DEAD = SpeakerTiming(restart_delays_s=(60.0,))


def node(own: str, peer: str, port: int, **neighbor: Any) -> dict[str, Any]:
    return {
        "router_id": str(UNICAST[own]),
        "local_as": FLEET_AS,
        "neighbors": [
            {
                "address": peer,
                "local_address": own,
                "peer_as": FLEET_AS,
                "role": "fleet",
                "port": port,
                **neighbor,
            }
        ],
    }


def view_of(own: str, config: dict[str, Any], events: list[SpeakerEvent]) -> View:
    """What a node makes of all that it was told, as if it had been told at once, at 0 s."""
    neighbors = msgspec.convert(config, SpeakerConfig).sessions()
    view = View(PARAMS, UNICAST[own], FLEET_AS, [SERVICE.prefix], neighbors)
    for event in events:
        if isinstance(event, PathHeard | PathLost | EndOfRib | Flooded | NeighborChanged):
            view.take(event, 0.0)
    view.others(PARAMS.sync_s)  # BIRD never says that it has told everything
    return view


@pytest.mark.parametrize("listens", SPEAKERS)
@pytest.mark.parametrize("dials", SPEAKERS)
def test_each_sees_the_other_announce_and_die(listens: str, dials: str) -> None:
    port = free_port(LISTENS)
    one, other = node(LISTENS, DIALS, port, passive=True), node(DIALS, LISTENS, port)

    async def story(place: Path) -> None:
        async with (
            running_speaker(one, place / "one", kind=listens) as (first, heard_by_first),
            running_speaker(other, place / "other", STAY_DEAD, kind=dials) as (second, heard_by_second),
        ):
            for speaker, own, state in (
                (first, LISTENS, State.ANNOUNCED),
                (second, DIALS, State.DEPREFERRED),
            ):
                speaker.announce(ControlState(state, False, 3, 24).route(UNICAST[own], FLEET_AS))
                speaker.announce(replace(SERVICE, next_hop=UNICAST[own]))

            def counted(own: str, config: dict[str, Any], events: list[SpeakerEvent]) -> tuple[int, float]:
                others = view_of(own, config, events).others(60.0)
                return others.announcing, others.spare

            await eventually(lambda: counted(LISTENS, one, heard_by_first) == (1, 0.0))
            # Who is less preferred announces, and takes nobody; the other has 70 % of 24 left.
            await eventually(lambda: counted(DIALS, other, heard_by_second) == (1, pytest.approx(16.8)))
            assert second.pid is not None
            os.kill(second.pid, signal.SIGKILL)
            await eventually(lambda: view_of(LISTENS, one, heard_by_first).others(60.0).problem != "")

    with short_directory() as place:
        asyncio.run(story(place))
